// What a product on tensor cores takes of its input: [2][rows][width] FP16 values and scales (HALVES), or [1][rows][width]
// BF16 values, which are the input rounded. Whoever makes an input writes them beside it.
//
// FP16 has 11 significant bits, three more than BF16, so two parts are enough where three BF16 parts were needed. But
// FP16 has few exponents. So 64 neighbours of a row share a power of two, which brings the largest of them between
// 2^14 and 2^15. The sum of both parts differs from a value by at most 2^-23 of the value, or by 2^-39 of the largest
// neighbour if that is more.

#define SLICE 64u

#ifdef HALVES
#define PRODUCT_PARTS 2u
#else
#define PRODUCT_PARTS 1u
#endif

// The largest of a warp's values, in every thread.
__device__ __forceinline__ u32 warp_largest(u32 value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(~0u, value);
#else
    for (int far = 16; far > 0; far /= 2) value = max(value, __shfl_xor_sync(~0u, value, far));
    return value;
#endif
}

#ifdef HALVES
// The upper half of a value's bits without the sign: an integer that grows with the size of the value.
__device__ __forceinline__ u32 magnitude(float value) { return __float_as_uint(value) >> 16 & 0x7fff; }

// The exponent that stands for values up to a magnitude. Within these limits the scales below are normal numbers.
__device__ __forceinline__ u32 exponent_of(u32 largest) { return min(max(largest >> 7, 40u), 254u); }

// What values are multiplied by, and what the product of a slice is multiplied by, as BF16. FP16 weights are 2^14 times
// as large as the weights (`weights.cu`).
__device__ __forceinline__ float factor_of(u32 exponent) { return __uint_as_float((268 - exponent) << 23); }
__device__ __forceinline__ u32 scale_of(u32 exponent) { return (exponent - 28) << 7; }

// Where a scale lies behind the parts: [slices][rows]. Of 32 rows, the eight that a thread of the product needs lie side
// by side (`sums.cu`).
__device__ __forceinline__ u32 scale_rows(u32 rows) { return (rows + 31) & ~31u; }
__device__ __forceinline__ u64 scale_place(u32 rows, u32 slice, u32 row) {
    return (u64)slice * scale_rows(rows) + (row & ~31u) + row % 8 / 2 * 8 + row % 32 / 8 * 2 + row % 2;
}

// The nearest FP16 of each, the first in the lower half.
__device__ __forceinline__ u32 nearest_halves(float first, float second) {
    u32 both;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
#else
    u16 low, high;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(low) : "f"(first));
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(high) : "f"(second));
    both = low | (u32)high << 16;
#endif
    return both;
}

// Two values as parts, the first value in the lower half of each.
__device__ __forceinline__ void halve(float first, float second, float factor, u32 (&parts)[2]) {
    first *= factor, second *= factor;
    parts[0] = nearest_halves(first, second);
    parts[1] = nearest_halves(first - half_value((u16)parts[0]), second - half_value((u16)(parts[0] >> 16)));
}
#else
__device__ __forceinline__ void halve(float first, float second, float, u32 (&parts)[1]) {
    parts[0] = nearest_brains(first, second);
}
#endif

// Where an operation puts the parts of a matrix.
struct ProductParts {
    u16* parts;
    u32 rows, width;
    __device__ __forceinline__ u64 count() const { return (u64)rows * width; }

    // Notes the scale of a slice, whose largest magnitude is known; one thread notes it. Returns the factor. A warp may
    // come with columns behind the last one, which have no scale.
    __device__ __forceinline__ float scale(u32 row, u32 column, u32 largest, bool notes) const {
#ifdef HALVES
        u32 exponent = exponent_of(largest);
        u16* scales = parts + PRODUCT_PARTS * count();
        if (notes && column < width) scales[scale_place(rows, column / SLICE, row)] = (u16)scale_of(exponent);
        return factor_of(exponent);
#else
        return 1;
#endif
    }

    // Stores two neighbours, the first in an even column.
    __device__ __forceinline__ void put(u32 row, u32 column, float first, float second, float factor) const {
        u32 both[PRODUCT_PARTS];
        halve(first, second, factor, both);
        u16* to = parts + (u64)row * width + column;
        #pragma unroll
        for (u32 part = 0; part < PRODUCT_PARTS; part++) *(u32*)(to + part * count()) = both[part];
    }

    // The threads of a warp store a slice: each the value of a column, and the one 32 columns behind it. What lies
    // outside the row is zero. All threads of the warp take part.
    __device__ __forceinline__ void put_apart(u32 row, u32 column, float first, float second) const {
        float factor = 1;
#ifdef HALVES
        factor = scale(row, column, warp_largest(max(magnitude(first), magnitude(second))), threadIdx.x % 32 == 0);
#endif
        u32 both[PRODUCT_PARTS];
        halve(first, second, factor, both);
        u16* to = parts + (u64)row * width + column;
        #pragma unroll
        for (u32 part = 0; part < PRODUCT_PARTS; part++, to += count()) {
            if (column < width) to[0] = (u16)both[part];
            if (column + 32 < width) to[32] = (u16)(both[part] >> 16);
        }
    }

    // Half a warp stores a slice: four neighbours each thread. All threads of the warp take part, those of rows that
    // are not `there` too.
    __device__ __forceinline__ void put_four(u32 row, u32 column, float4 of, bool there) const {
        float factor = 1;
#ifdef HALVES
        u32 largest = max(max(magnitude(of.x), magnitude(of.y)), max(magnitude(of.z), magnitude(of.w)));
        for (u32 far = 1; far < 16; far *= 2) largest = max(largest, __shfl_xor_sync(~0u, largest, far));
        factor = scale(row, column, largest, there && threadIdx.x % 16 == 0);
#endif
        u32 left[PRODUCT_PARTS], right[PRODUCT_PARTS];
        halve(of.x, of.y, factor, left), halve(of.z, of.w, factor, right);
        u16* to = parts + (u64)row * width + column;
        #pragma unroll
        for (u32 part = 0; part < PRODUCT_PARTS; part++, to += count())
            if (there && column < width) *(uint2*)to = make_uint2(left[part], right[part]);
    }
};
