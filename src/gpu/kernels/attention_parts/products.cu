// The products of attention with tiles that come through a ring of slots in shared memory.

#define GROUP 128                // threads of a group
#define MULTIPLIERS (2 * GROUP)  // threads that multiply
#define SLOTS 5                  // parts of tiles in a group's ring

// Blocks that share a multiprocessor. Where registers and shared memory suffice for two, one begins while another ends.
template <u32 SIZE> constexpr u32 BLOCKS = PARTS == 1 && SIZE == 64 ? 2 : 1;

// Adds the product of 64 by 16, which the warps hold as `mma` takes them, and 16 by COLUMNS; or sets the sums to it.
template <u32 COLUMNS> __device__ void multiply_held(float (&sums)[COLUMNS / 2], const u32 (&a)[4], u64 b, u32 add);

#define MULTIPLY_HELD(COLUMNS, REGISTERS, OPERANDS, HELD, B, ADD)                                                 \
    template <> __device__ __forceinline__ void multiply_held<COLUMNS>(                                          \
        float (&sums)[COLUMNS / 2], const u32 (&a)[4], u64 b, u32 add                                            \
    ) {                                                                                                          \
        asm volatile(                                                                                            \
            "{ .reg .pred add; setp.ne.b32 add, %" ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #COLUMNS         \
            "k16.f32.bf16.bf16 {" REGISTERS "}, {" HELD "}, %" B ", add, 1, 1, 0; }"                             \
            : OPERANDS : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                          \
    }
MULTIPLY_HELD(64, TO_32, SUMS_32(0), "%32, %33, %34, %35", "36", "37")
MULTIPLY_HELD(128, TO_64, SUMS_64(0), "%64, %65, %66, %67", "68", "69")

// Has the copy engine bring neighbouring bytes.
__device__ __forceinline__ void bring_bytes(u32 to, const unsigned char* from, u32 bytes, u32 barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :: "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// Waits for the warps that multiply.
__device__ __forceinline__ void meet() { asm volatile("bar.sync 1, %0;" :: "n"(MULTIPLIERS) : "memory"); }

__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

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
        end_products();
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
    float (&sums)[SIZE / 2], const float (&old)[2], const float (&weights)[32], Ring<SLOTS>& ring, u32 slots, u32 lane
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
