// What is stored of a tile's sums: those of a layer with the bias, or a gate with what it gates.

// SiLU with a division that errs by two units in the last place at most, without the branch of one that never errs. From
// 2^126 on, such a division gives zero, which SiLU then is next to.
__device__ __forceinline__ float quick_silu(float x) { return __fdividef(x, 1.0f + expf(-x)); }

// The largest magnitudes of 64 outputs, for pairs of rows: of each warp, and of all.
template <u32 COLUMNS> struct Magnitudes { u32 of_warp[8][COLUMNS / 2], of_tile[COLUMNS / 2]; };

#ifdef HALVES
__device__ __forceinline__ u32 largest_pair(u32 a, u32 b) {
    u32 both;
    asm("max.u16x2 %0, %1, %2;" : "=r"(both) : "r"(a), "r"(b));
    return both;
}

// Finds what the eight warps have of these values, two of four of each thread, and notes the scales.
template <u32 COLUMNS> __device__ __forceinline__ void find_scales(
    const ProductParts& product, const Place& place, const float (&values)[COLUMNS / 2], u32 lane,
    Magnitudes<COLUMNS>& shared
) {
    const u32 own = threadIdx.x - 128;
    #pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i += 4) {
        u32 pair = magnitude(values[i]) | magnitude(values[i + 1]) << 16;
        #pragma unroll
        for (u32 far = 4; far < 32; far *= 2) pair = largest_pair(pair, __shfl_xor_sync(~0u, pair, far));
        if (lane < 4) shared.of_warp[own / 32][i + lane] = pair;
    }
    wait_for_both_groups();
    if (own < COLUMNS / 2) {
        u32 pair = 0;
        #pragma unroll
        for (u32 warp = 0; warp < 8; warp++) pair = largest_pair(pair, shared.of_warp[warp][own]);
        shared.of_tile[own] = pair;
        const u32 row = place.row + own / 4 * 8 + own % 4 * 2;
        if (row < product.rows) {
            product.scale(row, place.output, pair & 0xffff, true);
            product.scale(row + 1, place.output, pair >> 16, true);
        }
    }
    wait_for_both_groups();
}
#endif

// Stores a gate, activated by SiLU, times what it gates, and the parts of it. Of the eight rows that a warp has of each,
// a thread has one. A choice between activations for each value would make the code four times as long, and was slower.
template <u32 COLUMNS> __device__ __forceinline__ void store_gated(
    const Product& of, const Place& place, float (&sums)[COLUMNS / 2], u32 output, u32 lane, float* y,
    Magnitudes<COLUMNS>& shared
) {
    const u32 width = of.outputs[0];
    const bool there = output < width;
    if (of.gate_second) {
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i += 4) {
            float first = sums[i], second = sums[i + 1];
            sums[i] = sums[i + 2], sums[i + 1] = sums[i + 3], sums[i + 2] = first, sums[i + 3] = second;
        }
    }
    const float bias[2] = {bias_of(of, 0, output), bias_of(of, 1, output)};
    #pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i += 4) {
        u32 row = place.row + i / 4 * 8 + lane % 4 * 2;
        sums[i] = quick_silu(sums[i] + bias[0]) * (sums[i + 2] + bias[1]);
        sums[i + 1] = quick_silu(sums[i + 1] + bias[0]) * (sums[i + 3] + bias[1]);
        if (there && row < of.rows) y[(u64)row * of.stride + output] = sums[i];
        if (there && row + 1 < of.rows) y[(u64)(row + 1) * of.stride + output] = sums[i + 1];
    }
    if (!of.y_parts) return;
    const ProductParts product = {(u16*)of.y_parts, of.rows, width};
#ifdef HALVES
    find_scales<COLUMNS>(product, place, sums, lane, shared);
#endif
    #pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i += 4) {
        // Of two neighbouring outputs, one thread takes the first row and the other the second one.
        u32 odd = lane / 4 % 2, row = place.row + i / 4 * 8 + lane % 4 * 2 + odd;
        float mine = odd ? sums[i + 1] : sums[i], got = __shfl_xor_sync(~0u, odd ? sums[i] : sums[i + 1], 4);
        float factor = 1;
#ifdef HALVES
        u32 pair = shared.of_tile[i + lane % 4];
        factor = factor_of(exponent_of(odd ? pair >> 16 : pair & 0xffff));
#endif
        if (there && row < of.rows) product.put(row, output - odd, odd ? got : mine, odd ? mine : got, factor);
    }
}

// Stores sums and the bias.
template <u32 COLUMNS> __device__ __forceinline__ void store_plain(
    const Product& of, const Place& place, const float (&sums)[COLUMNS / 2], u32 output, u32 lane, float* y
) {
    const float bias[2] = {bias_of(of, place.layer, output), bias_of(of, place.layer, output + 8)};
    #pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i++) {
        u32 row = place.row + i / 4 * 8 + lane % 4 * 2 + i % 2, here = output + i / 2 % 2 * 8;
        if (row >= of.rows || here >= of.outputs[place.layer]) continue;
        y[(u64)row * of.stride + here] = sums[i] + bias[i / 2 % 2];
    }
}
