// F32 by tensor cores that multiply BF16: a value of 24 bits is the sum of three of 8, each product with a
// BF16 weight is exact in F32, and so is every bit of x in the result. One part is x rounded to BF16. Whoever compiles
// this defines PARTS.

// The nearest BF16 of each, ties to even, the first in the lower half. What is not a number stays so.
__device__ __forceinline__ u32 nearest_brains(float first, float second) {
#if __CUDA_ARCH__ >= 800
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
#else
    auto nearest = [](float value) -> u32 {
        u32 bits = __float_as_uint(value);
        return value != value ? 0x7fff : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    };
    return nearest(first) | nearest(second) << 16;
#endif
}

// Two values as parts, the first in the lower half of each.
__device__ __forceinline__ void split(float first, float second, u32 (&parts)[PARTS]) {
    #pragma unroll
    for (u32 part = 0; part < PARTS; part++) {
        parts[part] = nearest_brains(first, second);
        first -= __uint_as_float(parts[part] << 16);
        second -= __uint_as_float(parts[part] & 0xffff0000);
    }
}
