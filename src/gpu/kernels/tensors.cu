// What the data-quality gates need to know of tensors, and moving tensors to where they belong.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;
typedef unsigned char u8;

enum Element : u32 { F16 = 0, BF16 = 1, F32 = 2 };

// The F32 bits of an F16 value, NaN payloads kept. Only integers: a float register may quiet a NaN.
__device__ __forceinline__ u32 wide_f16(u32 half) {
    u32 sign = (half & 0x8000) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0) {
        if (fraction == 0) return sign;
        u32 leading = 31 - __clz(fraction);
        return sign | (leading + 103) << 23 | (fraction << (23 - leading) & 0x7fffff);
    }
    if (exponent == 0x1f) return sign | 0x7f800000 | fraction << 13;
    return sign | (exponent + 112) << 23 | fraction << 13;
}

__device__ __forceinline__ u32 bits_at(const u8* start, u64 index, u32 element) {
    switch (element) {
        case F16: return wide_f16(((const u16*)start)[index]);
        case BF16: return (u32)((const u16*)start)[index] << 16;
        default: return ((const u32*)start)[index];
    }
}

struct Tensor { u64 offset; u64 windows[3]; u64 width; u64 element; };
struct Span { u64 tensor, first, count; };
struct Tally { u64 zeros, non_finite, first_non_finite; double squares; u32 varies, hits; };

struct Sum {
    template <typename T> __device__ T operator()(T a, T b) const { return a + b; }
};
struct Least {
    template <typename T> __device__ T operator()(T a, T b) const { return a < b ? a : b; }
};
struct Either {
    template <typename T> __device__ T operator()(T a, T b) const { return a | b; }
};

// What all threads of a warp have, joined, in its first thread.
template <typename F, typename T> __device__ T across_warp(T value) {
    for (int far = 16; far > 0; far /= 2) value = F()(value, __shfl_down_sync(~0u, value, far));
    return value;
}

// One block a span: elements `first` to `first + count` of a tensor. Everything is counted exactly;
// only the sum of squares depends on the order of its parts, in the last bits of a double.
extern "C" __global__ void scan_spans(
    const u8* base, const Span* spans, const Tensor* tensors, Tally* tallies
) {
    const Span span = spans[blockIdx.x];
    const Tensor tensor = tensors[span.tensor];
    const u8* start = base + tensor.offset;
    const u32 element = (u32)tensor.element;
    const float first_value = __uint_as_float(bits_at(start, 0, element));
    const u64 end = span.first + span.count;
    bool sampled = false;
    for (int i = 0; i < 3; i++)
        sampled |= tensor.windows[i] < end && tensor.windows[i] + tensor.width > span.first;
    u64 zeros = 0, non_finite = 0, first_non_finite = ~0ull;
    double squares = 0;
    u32 varies = 0, hits = 0;
    for (u64 at = span.first + threadIdx.x; at < end; at += blockDim.x) {
        u32 bits = bits_at(start, at, element);
        u32 magnitude = bits & 0x7fffffff;
        zeros += magnitude == 0;
        if (magnitude >= 0x7f800000) {
            non_finite++;
            if (at < first_non_finite) first_non_finite = at;
        }
        float value = __uint_as_float(bits);
        varies |= value != first_value;
        squares += (double)value * (double)value;
        if (sampled && magnitude != 0) {
            for (int i = 0; i < 3; i++)
                if (at >= tensor.windows[i] && at - tensor.windows[i] < tensor.width) hits |= 1u << i;
        }
    }
    zeros = across_warp<Sum>(zeros), non_finite = across_warp<Sum>(non_finite);
    first_non_finite = across_warp<Least>(first_non_finite);
    squares = across_warp<Sum>(squares);
    varies = across_warp<Either>(varies), hits = across_warp<Either>(hits);
    if (threadIdx.x % 32 != 0) return;
    Tally* tally = tallies + span.tensor;
    if (zeros) atomicAdd(&tally->zeros, zeros);
    if (non_finite) atomicAdd(&tally->non_finite, non_finite);
    if (non_finite) atomicMin(&tally->first_non_finite, first_non_finite);
    atomicAdd(&tally->squares, squares);
    if (varies) atomicOr(&tally->varies, 1u);
    if (hits) atomicOr(&tally->hits, hits);
}

enum Kind : u64 { COPY = 0, WIDEN_F16 = 1, WIDEN_BF16 = 2 };
struct Rows { u64 from, to, count, rows, from_stride, to_stride, kind; };  // `to` is an address

// One warp copies a row. Four loads are in flight in each thread.
template <typename Word> __device__ __forceinline__ void copy_row(const u8* from, u8* to, u64 bytes) {
    const Word* source = (const Word*)from;
    Word* target = (Word*)to;
    const u64 words = bytes / sizeof(Word);
    u64 at = threadIdx.x % 32;
    for (; at + 96 < words; at += 128) {
        Word a = source[at], b = source[at + 32], c = source[at + 64], d = source[at + 96];
        target[at] = a, target[at + 32] = b, target[at + 64] = c, target[at + 96] = d;
    }
    for (; at < words; at += 32) target[at] = source[at];
}

// One warp a row, and the rows of all entries in turn. Sources may lie at any byte, and copies may go to any.
extern "C" __global__ void __launch_bounds__(256) move_rows(const u8* base, const Rows* list, u64 entries) {
    const u64 warps = (u64)gridDim.x * (blockDim.x / 32);
    u64 turn = (u64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    for (u64 entry = 0; entry < entries; entry++) {
        const Rows rows = list[entry];
        u64 row = turn;
        for (; row < rows.rows; row += warps) {
            const u8* source = base + rows.from + row * rows.from_stride;
            u8* target = (u8*)rows.to + row * rows.to_stride;
            if (rows.kind == COPY) {
                const u64 odd = (u64)source | (u64)target | rows.count;
                if (odd % 16 == 0) copy_row<uint4>(source, target, rows.count);
                else if (odd % 4 == 0) copy_row<u32>(source, target, rows.count);
                else copy_row<u8>(source, target, rows.count);
            } else {
                for (u64 at = threadIdx.x % 32; at < rows.count; at += 32) {
                    u32 half = source[2 * at] | (u32)source[2 * at + 1] << 8;
                    ((u32*)target)[at] = rows.kind == WIDEN_F16 ? wide_f16(half) : half << 16;
                }
            }
        }
        // The next entry begins with the warp after the one that had this entry's last row.
        turn = row - rows.rows;
    }
}

// Reads everything once: what a device can read a second, seen by whoever takes the time. The sum is
// there so that no load can be left out.
extern "C" __global__ void __launch_bounds__(512) read_all(const uint4* data, u64 count, u32* sums) {
    u32 sum = 0;
    u64 step = (u64)gridDim.x * blockDim.x, at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    for (; at + 3 * step < count; at += 4 * step) {
        uint4 a = __ldcs(data + at), b = __ldcs(data + at + step);
        uint4 c = __ldcs(data + at + 2 * step), d = __ldcs(data + at + 3 * step);
        sum += a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w;
        sum += c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
    }
    for (; at < count; at += step) {
        uint4 a = __ldcs(data + at);
        sum += a.x ^ a.y ^ a.z ^ a.w;
    }
    atomicAdd(sums, sum);
}
