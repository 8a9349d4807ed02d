// Sums over the slices of a place. The slot of the last parts is not released: a tile's results pass through it
// (`stores.cu`).

// Where in shared memory the tiles of W and of the parts lie, and the scales.
struct Tiles { u32 weights, parts, scales; };

// Two warpgroups take turns in queueing products.
__device__ __forceinline__ void wait_for_turn(u32 group) { asm volatile("bar.sync %0, 256;" :: "r"(2 + group) : "memory"); }
__device__ __forceinline__ void give_turn(u32 group) { asm volatile("bar.arrive %0, 256;" :: "r"(2 + group) : "memory"); }

#ifdef HALVES
// The scales of a slice in shared memory: those of 32 rows at least.
#define SCALE_BYTES(COLUMNS) ((COLUMNS < 32 ? 32 : COLUMNS) * 2)

// The scales of a thread's rows, of two neighbours in one word.
template <u32 COLUMNS> __device__ __forceinline__ void fetch_scales(
    u32 (&scales)[COLUMNS / 8], u32 at, u32 first_row, u32 lane
) {
    at += lane % 4 * 16;
    if constexpr (COLUMNS < 32) {
        asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];"
            : "=r"(scales[0]), "=r"(scales[1]) : "r"(at + first_row % 32 / 16 * 8) : "memory");
    } else {
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 8; i += 4)
            asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                : "=r"(scales[i]), "=r"(scales[i + 1]), "=r"(scales[i + 2]), "=r"(scales[i + 3])
                : "r"(at + i * 16) : "memory");
    }
}

// Tensor cores truncate their sums, so those of a slice are multiplied by its scales and added to others, with one
// rounding. A slice's weights become FP16 numbers while the slice before is multiplied, and one warpgroup adds while the
// other one multiplies.
template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS> __device__ __forceinline__ void sum_slices(
    float (&sums)[COLUMNS / 2], Ring<WEIGHT_SLOTS>& weights, Ring<PART_SLOTS>& parts, Tiles tiles, const Place& place,
    u32 group, u32 warp, u32 lane, u32 never
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    tiles.weights += (group * 4 + warp) * 16 * SLICE * 2;
    float slice[COLUMNS / 2];
    u32 pairs[SLICE / 4], next[SLICE / 4], scales[COLUMNS / 8];
    // A slot with weights outside the main window is kept until these are multiplied too: its number, or WEIGHT_SLOTS.
    u32 kept, kept_next;
    auto take_weights = [&]() {
        wait(weights.full(), weights.phase);
        const u32 rows = tiles.weights + weights.slot * WEIGHT_BYTES;
        fetch_weights(next, rows, lane);
        kept_next = to_halves(next) ? weights.slot : WEIGHT_SLOTS;
        if (kept_next == WEIGHT_SLOTS) release(weights.empty(), lane);
        weights.next();
    };
    take_weights();
    for (u32 at = place.from; at < place.to; at++) {
        // Not a plain copy, which the compiler would see through: then products would read the registers of `next`.
        #pragma unroll
        for (u32 i = 0; i < SLICE / 4; i++) pairs[i] = next[i] ^ never;
        kept = kept_next;
        wait(parts.full(), parts.phase);
        const u32 part = tiles.parts + parts.slot * PRODUCT_PARTS * PART_BYTES;
        const u64 large = descriptor(part), small = descriptor(part + PART_BYTES);
        hold(slice), hold(pairs);
        wait_for_turn(group);
        begin_products();
        #pragma unroll
        for (u32 i = 0; i < SLICE / 16; i++) multiply_halves<COLUMNS>(slice, pairs + 4 * i, small + 2 * i, i);
        #pragma unroll
        for (u32 i = 0; i < SLICE / 16; i++) multiply_halves<COLUMNS>(slice, pairs + 4 * i, large + 2 * i, 1);
        queue_products();
        give_turn(1 - group);
        // Products of few rows are short, and weights that are fetched meanwhile come later than those fetched behind
        // them: a gate of 16 rows took 32 microseconds and not 23, on an H200.
        if constexpr (COLUMNS < 64) wait_for_products<0>();
        if (at + 1 < place.to) take_weights();
        fetch_scales<COLUMNS>(scales, tiles.scales + parts.slot * SCALE_BYTES(COLUMNS), place.row, lane);
        wait_for_products<0>();
        hold(slice);
        keep_until_here<SLICE / 4>(pairs, never);
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i++) {
            u32 scale = i % 2 ? scales[i / 4] & 0xffff0000 : scales[i / 4] << 16;
            sums[i] = fmaf(slice[i], __uint_as_float(scale), sums[i]);
        }
        if (kept < WEIGHT_SLOTS) {
            add_outside<COLUMNS>(sums, tiles.weights + kept * WEIGHT_BYTES, part, scales, lane);
            release(weights.empty(kept), lane);
        }
        if (at + 1 < place.to) release(parts.empty(), lane), parts.next();
    }
}
#else
// The sums stay in the tensor cores: rounding x costs far more than their truncation, and a tile may be twice as large.
template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS> __device__ __forceinline__ void sum_slices(
    float (&sums)[COLUMNS / 2], Ring<WEIGHT_SLOTS>& weights, Ring<PART_SLOTS>& parts, Tiles tiles, const Place& place,
    u32 group, u32, u32 lane, u32
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    tiles.weights += group * (WEIGHT_BYTES / 2);
    u32 last_weights = 0, last_part = 0;
    hold(sums);
    for (u32 at = place.from; at < place.to; at++) {
        wait(weights.full(), weights.phase);
        wait(parts.full(), parts.phase);
        u64 of_weights = descriptor(tiles.weights + weights.slot * WEIGHT_BYTES);
        u64 of_part = descriptor(tiles.parts + parts.slot * PART_BYTES);
        begin_products();
        #pragma unroll
        for (u32 i = 0; i < SLICE / 16; i++) multiply<COLUMNS>(sums, of_weights + 2 * i, of_part + 2 * i, 1);
        queue_products();
        // The products of the slice before are finished when only these are under way.
        if (at > place.from) {
            wait_for_products<1>();
            release(last_weights, lane), release(last_part, lane);
        }
        last_weights = weights.empty(), last_part = parts.empty();
        weights.next();
        if (at + 1 < place.to) parts.next();
    }
    wait_for_products<0>();
    release(last_weights, lane);
    hold(sums);
}
#endif
