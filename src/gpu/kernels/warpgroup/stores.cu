// What is stored of a tile's sums: those of a layer with the bias, or a gate with what it gates.

// SiLU. The denominator is at least one, so a quick division errs by two units in the last place at most. From 2^126 on, it
// gives zero, which SiLU then is next to. Where the result is rounded to BF16, a quick exponential is enough.
__device__ __forceinline__ float quick_silu(float x) {
    float inverse;
#ifdef HALVES
    const float power = expf(-x);
#else
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * -1.44269504088896340736f));
#endif
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1.0f + power));
    return x * inverse;
}

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

// Four matrices of 8 by 8 of which a thread has two neighbours of a column: stored by rows, each at the address of a thread.
__device__ __forceinline__ void stage_matrices(u32 at, const u32* of) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};"
        :: "r"(at), "r"(of[0]), "r"(of[1]), "r"(of[2]), "r"(of[3]) : "memory");
}

// Two values of two rows as parts, the first row in the lower half.
__device__ __forceinline__ void halve_rows(float first, float second, u32 pair, u32 (&parts)[PRODUCT_PARTS]) {
#ifdef HALVES
    halve(first * factor_of(exponent_of(pair & 0xffff)), second * factor_of(exponent_of(pair >> 16)), 1, parts);
#else
    halve(first, second, 1, parts);
#endif
}

// Stores a gate, activated by SiLU, times what it gates, and the parts of it, each only where it is wanted. Of the eight
// outputs that a warp has of each, a thread has one. Parts pass through shared memory, which turns them: a row of a tile
// is 128 bytes. (A choice between activations for each value would make the code four times as long, and was slower.)
template <u32 COLUMNS> __device__ __forceinline__ void store_gated(
    const Product& of, const Place& place, float (&sums)[COLUMNS / 2], u32 lane, float* y, Magnitudes<COLUMNS>& shared,
    u32 slot
) {
    const u32 own = threadIdx.x - 128, width = of.outputs[0], output = place.output + own / 32 * 8 + lane / 4;
    const bool there = output < width && y;
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
        sums[i] = quick_silu(sums[i] + bias[0]) * (sums[i + 2] + bias[1]);
        sums[i + 1] = quick_silu(sums[i + 1] + bias[0]) * (sums[i + 3] + bias[1]);
    }
    if (there) {
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i += 4) {
            u32 row = place.row + i / 4 * 8 + lane % 4 * 2;
            if (row < of.rows) y[(u64)row * of.stride + output] = sums[i];
            if (row + 1 < of.rows) y[(u64)(row + 1) * of.stride + output] = sums[i + 1];
        }
    }
    if (!of.y_parts) return;
    const ProductParts product = {(u16*)of.y_parts, of.rows, width};
    // Behind this, both groups have done with the slot.
#ifdef HALVES
    find_scales<COLUMNS>(product, place, sums, lane, shared);
#else
    wait_for_both_groups();
#endif
    constexpr u32 PART = COLUMNS * 128, GROUPS = COLUMNS / 8, AT_ONCE = GROUPS < 4 ? GROUPS : 4;
    #pragma unroll
    for (u32 first = 0; first < GROUPS; first += AT_ONCE) {
        u32 turned[PRODUCT_PARTS][4] = {};
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++) {
            const u32 i = (first + n) * 4;
            u32 both[PRODUCT_PARTS], pair = 0;
#ifdef HALVES
            pair = shared.of_tile[i + lane % 4];
#endif
            halve_rows(sums[i], sums[i + 1], pair, both);
            #pragma unroll
            for (u32 part = 0; part < PRODUCT_PARTS; part++) turned[part][n] = both[part];
        }
        // Threads of one matrix have its rows; where there are two matrices, the others store them once more.
        const u32 at = swizzled(slot, (first + lane / 8 % AT_ONCE) * 8 + lane % 8, own / 32);
        #pragma unroll
        for (u32 part = 0; part < PRODUCT_PARTS; part++) {
            if (AT_ONCE < 4) turned[part][2] = turned[part][0], turned[part][3] = turned[part][1];
            stage_matrices(at + part * PART, turned[part]);
        }
    }
    wait_for_both_groups();
    constexpr u32 ALL = PRODUCT_PARTS * COLUMNS * 8;
    #pragma unroll
    for (u32 first = 0; first < ALL; first += 256) {
        const u32 at = first + own, part = at / (COLUMNS * 8), line = at / 8 % COLUMNS, eight = at % 8;
        if (ALL % 256 != 0 && at >= ALL) break;
        const u32 row = place.row + line, column = place.output + eight * 8;
        uint4 some;
        asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
            : "=r"(some.x), "=r"(some.y), "=r"(some.z), "=r"(some.w) : "r"(swizzled(slot + part * PART, line, eight)));
        u16* to = product.parts + part * product.count() + (u64)row * width + column;
        if (row < of.rows && column < width) *(uint4*)to = some;
    }
    // The copy engine writes to the slot next.
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
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
