// BF16 weights as FP16 numbers.
//
// BF16 has 8 exponent bits and FP16 has 5. Weights of one window of 30 exponents become FP16 numbers without any loss:
// the exponents of the main window, 2^-26 to 2^4, become those of numbers that are 2^12 times as large. Nearly all
// weights of nearly all models lie there. A warp that finds others in its 16 outputs sets them to zero, and multiplies
// them itself (`outside.cu`).

#define WINDOW 30
// The exponent below those of the main window.
#define MAIN_BASE 100

// A tile's rows of 128 bytes, swizzled: where eight values of a row lie.
__device__ __forceinline__ u32 swizzled(u32 tile, u32 row, u32 eight) {
    return tile + row * 128 + ((eight ^ (row & 7)) << 4);
}

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

__device__ __forceinline__ u32 largest_pair(u32 a, u32 b) {
    u32 both;
    asm("max.u16x2 %0, %1, %2;" : "=r"(both) : "r"(a), "r"(b));
    return both;
}
__device__ __forceinline__ u32 smallest_signed_pair(u32 a, u32 b) {
    u32 both;
    asm("min.s16x2 %0, %1, %2;" : "=r"(both) : "r"(a), "r"(b));
    return both;
}

// Makes FP16 numbers of weights, and tells whether there is one outside the main window.
__device__ __forceinline__ bool to_halves(u32 (&pairs)[SLICE / 4]) {
    const u32 BOTH = 0x10001, SIGNS = 0x8000 * BOTH, REST = 0x7fff * BOTH, BASE = (MAIN_BASE << 7) * BOTH;
    // With 0x7fff added, zero is the largest 16-bit integer with a sign, and the other values are in order below it.
    const u32 MOST = ((MAIN_BASE + WINDOW << 7) + 127) * BOTH;
    const u32 LEAST = ((MAIN_BASE + 1 << 7) + 0x7fff) * BOTH;
    u32 most = MOST, least = LEAST;
    #pragma unroll
    for (u32 i = 0; i < SLICE / 4; i++) {
        u32 size = pairs[i] & REST;
        most = largest_pair(most, size), least = smallest_signed_pair(least, size + REST);
        pairs[i] = (largest_pair(size, BASE) - BASE) << 3 | pairs[i] & SIGNS;
    }
    return most != MOST || least != LEAST;
}

// All windows; the main one is 0. The first has zero and numbers without a leading one, the last has what is no number.
#define FIRST_WINDOW -4
#define LAST_WINDOW 5

// The exponent that becomes that of FP16 numbers without a leading one.
__device__ __forceinline__ int base_of(int window) { return min(max(MAIN_BASE + window * WINDOW, 0), 224); }

// Makes FP16 numbers of the weights of one window, and zero of the others. Tells whether there are any. They are
// 2^(112 - base) times as large as the weights.
__device__ __forceinline__ bool to_halves_of(int window, u32 (&pairs)[SLICE / 4]) {
    const int base = base_of(window) << 7, below = (MAIN_BASE + window * WINDOW) * 128 + 127;
    const int most = below + (WINDOW << 7);
    u32 any = 0;
    #pragma unroll
    for (u32 i = 0; i < SLICE / 4; i++) {
        u32 both = 0;
        #pragma unroll
        for (u32 half = 0; half < 32; half += 16) {
            int size = (int)(pairs[i] >> half & 0x7fff);
            u32 number = size > below && size <= most ? (u32)(size - base) << 3 : 0;
            any |= number;
            both |= (number | (pairs[i] >> half & 0x8000)) << half;
        }
        pairs[i] = both;
    }
    return any != 0;
}
