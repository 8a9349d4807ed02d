// Products with weights outside the main window of `weights.cu`. They are rare, so one warp multiplies its 16 outputs by
// all rows of a tile, window after window.

__device__ __forceinline__ void multiply_by_warp(float (&sums)[4], const u32* weights, u32 first, u32 second) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9},"
        " {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "r"(first), "r"(second));
}

// Adds what a slice has outside the main window. `weights` is the warp's 16 rows of W in shared memory, `parts` both
// parts of x, and `scales` those of this thread's rows of x.
template <u32 COLUMNS> __device__ __forceinline__ void add_outside(
    float (&sums)[COLUMNS / 2], u32 weights, u32 parts, const u32 (&scales)[COLUMNS / 8], u32 lane
) {
    #pragma unroll 1
    for (u32 window = 0; window < WINDOWS; window++) {
        u32 pairs[SLICE / 4], any = 0;
        const int power = power_of_window(window);
        fetch_weights(pairs, weights, lane);
        #pragma unroll
        for (u32 i = 0; i < SLICE / 4; i++) {
            pairs[i] = to_halves(of_window(pairs[i], window), power_of_two(power));
            any |= pairs[i] & 0x7fff7fff;
        }
        if (window == MAIN_WINDOW || !__any_sync(~0u, any)) continue;
        // In two steps, so that neither overflows where the product does not.
        const int up = power_of_window(MAIN_WINDOW) - power;
        const float first_half = power_of_two(up / 2), other_half = power_of_two(up - up / 2);
        #pragma unroll
        for (u32 group = 0; group < COLUMNS / 8; group++) {
            // One group after the other: all at once would take the registers of the common case.
            __syncwarp();
            float here[4] = {};
            #pragma unroll
            for (u32 i = 0; i < 2 * SLICE / 32; i++) {
                // 32 of the inner dimension of one part, the smaller part first.
                u32 part = parts + (i < SLICE / 32 ? COLUMNS * SLICE * 2 : 0), eight = i % (SLICE / 32) * 4;
                u32 of[4];
                fetch_matrices(of, swizzled(part, group * 8 + lane % 8, eight + lane / 8));
                multiply_by_warp(here, pairs + 2 * eight, of[0], of[1]);
                multiply_by_warp(here, pairs + 2 * eight + 4, of[2], of[3]);
            }
            float scale[2] = {__uint_as_float(scales[group] << 16), __uint_as_float(scales[group] & 0xffff0000)};
            #pragma unroll
            for (u32 i = 0; i < 4; i++) sums[4 * group + i] += here[i] * first_half * scale[i % 2] * other_half;
        }
    }
}
