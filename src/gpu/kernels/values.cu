// Reading stored elements as F32. Stands before every kernel that reads weights.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

enum Element : u32 { F16 = 0, BF16 = 1, F32 = 2 };

__device__ __forceinline__ float half_value(u16 bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ __forceinline__ float brain_value(u16 bits) { return __uint_as_float((u32)bits << 16); }

// A tensor's element, whatever its type.
__device__ __forceinline__ float value_at(u64 start, u64 index, u32 element) {
    switch (element) {
        case F16: return half_value(((const u16*)start)[index]);
        case BF16: return brain_value(((const u16*)start)[index]);
        default: return ((const float*)start)[index];
    }
}

// The same in two steps: the element as it is stored, and as a number. Loads that are not used yet do not wait for each
// other, nor does what comes before their use.
__device__ __forceinline__ u32 stored_at(u64 start, u64 index, u32 element) {
    return element == F32 ? ((const u32*)start)[index] : ((const u16*)start)[index];
}

// Without branches, because it stands in unrolled loops.
__device__ __forceinline__ float number(u32 stored, u32 element) {
    float half = half_value((u16)stored), brain = brain_value((u16)stored);
    float narrow = element == BF16 ? brain : half;
    return element == F32 ? __uint_as_float(stored) : narrow;
}

// The sum over a warp, in every thread.
__device__ __forceinline__ float warp_sum(float value) {
    for (int far = 16; far > 0; far /= 2) value += __shfl_xor_sync(~0u, value, far);
    return value;
}

// The sum over a block of at most 1024 threads, in every thread. Always added in the same order.
__device__ __forceinline__ float block_sum(float value) {
    __shared__ float warps[32];
    value = warp_sum(value);
    u32 count = (blockDim.x + 31) / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    for (u32 i = 0; i < count; i++) sum += warps[i];
    return sum;
}
