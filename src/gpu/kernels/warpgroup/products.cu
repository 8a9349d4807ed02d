// The product kernel: one thread brings tiles, and two warpgroups sum them up and store.

template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS, bool GATED> __device__ __forceinline__ void products(
    const Operands& operands, const Product& of, float* y, float* left, u32* flags
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    extern __shared__ __align__(1024) unsigned char memory[];
    __shared__ __align__(8) u64 barriers[2 * (WEIGHT_SLOTS + PART_SLOTS)];
    __shared__ Magnitudes<GATED ? COLUMNS : 2> magnitudes;
    const u32 begin = (in_shared(memory) + 1023) & ~1023u, parts_at = begin + WEIGHT_SLOTS * WEIGHT_BYTES;
    const Tiles tiles = {begin, parts_at, parts_at + PART_SLOTS * PRODUCT_PARTS * PART_BYTES};
    Ring<WEIGHT_SLOTS> weights(in_shared(barriers));
    Ring<PART_SLOTS> parts(in_shared(barriers) + 16 * WEIGHT_SLOTS);
    if (threadIdx.x == 0) {
        weights.begin(8), parts.begin(8);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    let_next_begin();
    __syncthreads();
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x > 0) return;
        auto bring_weights = [&](const Place& place, u32 slice) {
            wait(weights.empty(), weights.phase ^ 1);
            u32 to = tiles.weights + weights.slot * WEIGHT_BYTES;
            expect(weights.full(), WEIGHT_BYTES);
            if constexpr (GATED) {
                bring_pairs(to, &operands.weights[0], slice * SLICE, place.output / 8, weights.full());
            } else {
                bring(to, &operands.weights[place.layer], slice * SLICE, place.output, weights.full());
            }
            weights.next();
        };
        auto bring_parts = [&](const Place& place, u32 slice) {
            wait(parts.empty(), parts.phase ^ 1);
            u32 to = tiles.parts + parts.slot * PRODUCT_PARTS * PART_BYTES, bytes = PRODUCT_PARTS * PART_BYTES;
#ifdef HALVES
            // The scales of a tile, or of the 32 rows that a smaller tile lies in.
            const u32 rows = scale_rows(of.rows), first = place.row & ~31u;
            const u32 of_scales = min(SCALE_BYTES(COLUMNS), (rows - first) * 2);
            expect(parts.full(), bytes + of_scales);
            const u16* scales = (const u16*)of.scales + (u64)slice * rows + first;
            bring_bytes(tiles.scales + parts.slot * SCALE_BYTES(COLUMNS), scales, of_scales, parts.full());
#else
            expect(parts.full(), bytes);
#endif
            // A tile that reaches past a part's last row has rows of the next part, which nobody stores.
            for (u32 part = 0; part < PRODUCT_PARTS; part++)
                bring(to + part * PART_BYTES, &operands.parts, slice * SLICE, part * of.rows + place.row, parts.full());
            parts.next();
        };
        // The first tiles of W need not wait for earlier kernels. Few of them: what earlier kernels read would queue
        // behind them. Whoever multiplies waits for the parts.
        Place first = Walk(of).next(of, COLUMNS);
        u32 early = min(min(WEIGHT_SLOTS, EARLY), first.to - first.from);
        for (u32 i = 0; i < early; i++) bring_weights(first, first.from + i);
        wait_for_last();
        for (Walk walk(of); walk.more(of);) {
            Place place = walk.next(of, COLUMNS);
            for (u32 slice = place.from; slice < place.to; slice++) {
                if (early > 0) early--;
                else bring_weights(place, slice);
                bring_parts(place, slice);
            }
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    u32 group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
#ifdef HALVES
    if (group == 1) give_turn(0);
#endif
    for (Walk walk(of); walk.more(of);) {
        Place place = walk.next(of, COLUMNS);
        float sums[COLUMNS / 2];
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i++) sums[i] = 0;
        // No launch has no rows.
        const u32 never = of.rows == 0;
        sum_slices<COLUMNS>(sums, weights, parts, tiles, place, group, warp, lane, never);
        const u32 down = group * 64 + warp * 16 + lane / 4;
        const u32 last = parts.empty(), slot = tiles.parts + parts.slot * PRODUCT_PARTS * PART_BYTES;
        parts.next();
        const bool is_left = place.to < Place::slices(of);
        if (!GATED || is_left) release(last, lane);
        if (is_left) {
            leave_sums<COLUMNS>(sums, left, flags);
            continue;
        }
        if (place.shared) add_left<COLUMNS>(of, sums, place, left, flags);
        if constexpr (GATED) {
            store_gated<COLUMNS>(of, place, sums, lane, y, magnitudes, slot);
            release(last, lane);
        } else {
            store_plain<COLUMNS>(of, place, sums, place.output + down, lane, y + place.column);
        }
    }
}

// Whoever compiles this appends the form that is wanted. Each form has a module of its own, so that they are compiled in
// parallel, and the gate has its own kernels, so that the code of the others stays short.
#define PRODUCTS(NAME, COLUMNS, WEIGHT_SLOTS, PART_SLOTS, GATED)                                                \
    extern "C" __global__ void __launch_bounds__(384, 1) NAME(                                                  \
        const __grid_constant__ Operands operands, const __grid_constant__ Product of, float* y, float* left,   \
        u32* flags                                                                                              \
    ) {                                                                                                         \
        products<COLUMNS, WEIGHT_SLOTS, PART_SLOTS, GATED>(operands, of, y, left, flags);                       \
    }
