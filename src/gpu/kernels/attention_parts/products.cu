// The products of attention with tiles that come through a ring of slots in shared memory.

#define GROUP 128                // threads of a group
#define MULTIPLIERS (2 * GROUP)  // threads that multiply
#define SLOTS 5                  // parts of tiles in a group's ring

// Blocks that share a multiprocessor. Where registers and shared memory suffice for two, one begins while another ends.
template <u32 SIZE> constexpr u32 BLOCKS = PARTS == 1 && SIZE == 64 ? 2 : 1;

// Waits for the warps that multiply.
__device__ __forceinline__ void meet() { asm volatile("bar.sync 1, %0;" :: "n"(MULTIPLIERS) : "memory"); }

// The next tile of the ring, the smallest part first: has `multiply(part, matrix)` queue the products with each part,
// and lets it be overwritten when they are done. `meanwhile` runs while they are under way.
template <u32 SIZE, typename Multiply, typename Meanwhile> __device__ __forceinline__ void with_tile(
    Ring<SLOTS>& ring, u32 slots, u32 lane, Multiply multiply, Meanwhile meanwhile
) {
    u32 read[PARTS];
    #pragma unroll
    for (u32 i = 0; i < PARTS; i++) {
        wait(ring.full(), ring.phase);
        begin_products();
        // From one thread, so that the compiler knows that it is the same in all: descriptors are uniform.
        u32 at = __shfl_sync(~0u, slots + ring.slot * PART_BYTES<SIZE>, 0);
        multiply(PARTS - 1 - i, descriptor(at));
        queue_products();
        read[i] = ring.empty();
        ring.next();
    }
    meanwhile();
    if constexpr (PARTS == 3) {
        wait_for_products<2>();
        release(read[0], lane);
        wait_for_products<1>();
        release(read[1], lane);
    }
    wait_for_products<0>();
    release(read[PARTS - 1], lane);
}

// The products of the queries' parts and a tile of keys.
template <u32 SIZE> __device__ __forceinline__ void multiply_keys(
    float (&scores)[32], Ring<SLOTS>& ring, u32 slots, u32 lane, u64 queries
) {
    hold(scores);
    with_tile<SIZE>(ring, slots, lane, [&](u32 part, u64 keys) {
        #pragma unroll
        for (u32 left = PARTS - part; left-- > 0;)
            #pragma unroll
            for (u32 inner = 0; inner < SIZE; inner += 16) {
                u32 at = (inner / 64 * 8192 + inner % 64 * 2) / 16;
                u32 first = part == PARTS - 1 && inner == 0;
                multiply<64>(scores, queries + left * PART_BYTES<SIZE> / 16 + at, keys + at, !first);
            }
    }, [] {});
    hold(scores);
}

// Adds the products of weights and a tile of values to `old` times the sums so far.
template <u32 SIZE> __device__ __forceinline__ void multiply_values(
    float (&sums)[SIZE / 2], const float (&old)[2], const float (&weights)[32], Ring<SLOTS>& ring, u32 slots, u32 lane,
    u32 never
) {
    u32 held[4][PARTS][4];  // of 16 keys each
    #pragma unroll
    for (u32 i = 0; i < 16; i++) {
        u32 pair[PARTS];
        split(weights[2 * i], weights[2 * i + 1], pair);
        #pragma unroll
        for (u32 part = 0; part < PARTS; part++) held[i / 4][part][i % 4] = pair[part];
    }
    auto scale = [&] {
        #pragma unroll
        for (u32 i = 0; i < SIZE / 2; i++) sums[i] *= old[i / 2 % 2];
    };
    auto multiply = [&](float (&to)[SIZE / 2], u32 part, u64 values, u32 add) {
        #pragma unroll
        for (u32 left = PARTS - part; left-- > 0;)
            #pragma unroll
            for (u32 i = 0; i < 4; i++)
                multiply_held<SIZE>(to, held[i][left], values + 2 * i, add || part + 1 < PARTS || i > 0);
    };
    if constexpr (PARTS == 1) {
        scale();
        hold(sums);
        with_tile<SIZE>(
            ring, slots, lane, [&](u32 part, u64 values) { multiply(sums, part, values, 1); }, [] {});
        hold(sums);
    } else {
        // A tile has sums of its own, which are added by rounded additions.
        float fresh[SIZE / 2];
        hold(fresh);
        with_tile<SIZE>(ring, slots, lane, [&](u32 part, u64 values) { multiply(fresh, part, values, 0); }, scale);
        hold(fresh);
        #pragma unroll
        for (u32 i = 0; i < SIZE / 2; i++) sums[i] += fresh[i];
    }
    keep_until_here<16 * PARTS>(&held[0][0][0], never);
}

// Has a group's tiles brought, from `begin` on, the keys of each and then its values.
template <u32 SIZE> __device__ __forceinline__ void bring_tiles(
    const unsigned char* tiles, u32 begin, u32 end, Ring<SLOTS> ring, u32 slots
) {
    for (u32 tile = begin; tile < end; tile += 2 * KEYS) {
        const unsigned char* from = tiles + tile / KEYS * 2ull * TILE_BYTES<SIZE>;
        for (u32 i = 0; i < 2; i++)
            for (u32 part = PARTS; part-- > 0; ring.next()) {
                wait(ring.empty(), ring.phase ^ 1);
                expect(ring.full(), PART_BYTES<SIZE>);
                bring_bytes(
                    slots + ring.slot * PART_BYTES<SIZE>, from + (i * PARTS + part) * PART_BYTES<SIZE>,
                    PART_BYTES<SIZE>, ring.full());
            }
    }
}
