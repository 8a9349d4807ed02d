// Tiles that blocks share.
//
// Whoever does not have the last slices of a tile leaves its sums, raises its flag, and goes on. Whoever has them waits
// for the blocks before it, and adds what they have left. Blocks begin in their order, and a block leaves its sums before
// it waits for others, so nobody waits for ever. All flags are down before and behind a launch.

// The two warpgroups that multiply.
__device__ __forceinline__ void wait_for_both_groups() { asm volatile("bar.sync 1, 256;" ::: "memory"); }

// Leaves the sums of a place: [value][thread].
template <u32 COLUMNS> __device__ __forceinline__ void leave_sums(
    const float (&sums)[COLUMNS / 2], float* left, u32* flags
) {
    const u32 own = threadIdx.x - 128;
    float* to = left + (u64)blockIdx.x * (COLUMNS * TILE) + own;
    #pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i++) to[i * 256] = sums[i];
    __threadfence();
    wait_for_both_groups();
    if (own == 0) asm volatile("st.release.gpu.global.u32 [%0], %1;" :: "l"(flags + blockIdx.x), "r"(1) : "memory");
}

// Adds what the blocks before this one have left of the tile whose last slices it has.
template <u32 COLUMNS> __device__ __forceinline__ void add_left(
    const Product& of, float (&sums)[COLUMNS / 2], const Place& place, const float* left, u32* flags
) {
    if (place.from == 0) return;
    const u32 own = threadIdx.x - 128, tile = first_shared(of, blockIdx.x) - place.from;
    u32 begin = tile * of.sharers / (of.shared * Place::slices(of));
    if (first_shared(of, begin + 1) <= tile) begin++;
    const u32 count = blockIdx.x - begin;
    if (own < count) {
        u32 up = 0;
        while (up == 0)
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(up) : "l"(flags + begin + own) : "memory");
        flags[begin + own] = 0;
    }
    wait_for_both_groups();
    const float* from = left + (u64)begin * (COLUMNS * TILE) + own;
    // Loads of some blocks before the first sum, so that they do not wait for each other.
    constexpr u32 AT_ONCE = COLUMNS < 64 ? 6 : COLUMNS < 128 ? 2 : 1;
    for (u32 block = 0; block < count; block += AT_ONCE, from += AT_ONCE * COLUMNS * TILE) {
        float some[AT_ONCE][COLUMNS / 2];
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++)
            #pragma unroll
            for (u32 i = 0; i < COLUMNS / 2; i++)
                some[n][i] = block + n < count ? __ldcg(from + n * (COLUMNS * TILE) + i * 256) : 0.0f;
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++)
            #pragma unroll
            for (u32 i = 0; i < COLUMNS / 2; i++) sums[i] += some[n][i];
    }
}
