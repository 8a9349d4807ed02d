// BF16 weights as FP16 numbers.
//
// BF16 has 8 exponent bits and FP16 has 5. Weights of a window of up to 33 exponents, multiplied by one power of two,
// become FP16 numbers without loss, because a BF16 number has only eight significant bits. The main window is 2^-31 to 4:
// nearly all weights of nearly all models lie there, or are zero. A warp that finds others in its 16 outputs sets them to
// zero, and multiplies them itself (`outside.cu`).

#define WINDOWS 8u
#define MAIN_WINDOW 3u

// By the first three bits of an exponent; but the main window has one exponent more.
__device__ __forceinline__ u32 window_of(u32 exponent) { return exponent == 128 ? MAIN_WINDOW : exponent / 32; }

// What the weights of a window are multiplied by: 2^14 in the main window.
__device__ __forceinline__ int power_of_window(u32 window) { return 110 - 32 * (int)window; }
__device__ __forceinline__ float power_of_two(int power) { return __uint_as_float((u32)(127 + power) << 23); }

// Four matrices of 8 by 8, a row from the address of each thread.
__device__ __forceinline__ void fetch_matrices(u32* into, u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(into[0]), "=r"(into[1]), "=r"(into[2]), "=r"(into[3]) : "r"(from) : "memory");
}

// A slice of 16 outputs, as a product of a warp takes it: for each 16 of the inner dimension, rows 0 and 8 of the first
// eight, then of the others.
__device__ __forceinline__ void fetch_weights(u32 (&pairs)[SLICE / 4], u32 tile, u32 lane) {
    #pragma unroll
    for (u32 i = 0; i < SLICE / 16; i++) fetch_matrices(pairs + 4 * i, swizzled(tile, lane % 16, 2 * i + lane / 16));
}

__device__ __forceinline__ u32 to_halves(u32 pair, float factor) {
    return nearest_halves(__uint_as_float(pair << 16) * factor, __uint_as_float(pair & 0xffff0000) * factor);
}

// Of a pair, the weights of a window; the others become zero.
__device__ __forceinline__ u32 of_window(u32 pair, u32 window) {
    return (window_of(pair >> 7 & 0xff) == window ? pair & 0xffff : 0)
        | (window_of(pair >> 23 & 0xff) == window ? pair & 0xffff0000 : 0);
}

// Makes FP16 numbers of weights of the main window and zeros. Tells whether there is a weight of another window; such
// weights become zero.
__device__ __forceinline__ bool to_halves(u32 (&pairs)[SLICE / 4]) {
    u32 all = ~0u, any = 0;
    #pragma unroll
    for (u32 i = 0; i < SLICE / 4; i++) all &= pairs[i], any |= pairs[i];
    // A quick look first. The three first bits of exponents of the main window are 011, but for the one more.
    bool outside = (~all & 0x30003000 | any & 0x40004000) != 0;
    if (__any_sync(~0u, outside)) {
        outside = false;
        #pragma unroll
        for (u32 i = 0; i < SLICE / 4; i++) {
            u32 inside = of_window(pairs[i], MAIN_WINDOW);
            outside |= ((pairs[i] ^ inside) & 0x7fff7fff) != 0;
            pairs[i] = inside;
        }
        outside = __any_sync(~0u, outside);
    } else {
        outside = false;
    }
    const float factor = power_of_two(power_of_window(MAIN_WINDOW));
    #pragma unroll
    for (u32 i = 0; i < SLICE / 4; i++) pairs[i] = to_halves(pairs[i], factor);
    return outside;
}
