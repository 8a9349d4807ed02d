// The product kernel: sums over the slices of a place, and what is stored.

// The products of all slices of a tile. Sums of a slice are added to `sums` by rounded additions.
template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS> __device__ __forceinline__ void sum_rounded(
    float (&sums)[COLUMNS / 2], Ring<WEIGHT_SLOTS>& weights, Ring<PART_SLOTS>& parts, u32 weights_at, u32 parts_at,
    const Place& place, u32 lane
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    float even[COLUMNS / 2], odd[COLUMNS / 2];
    u32 last_weights = 0, last_part = 0;
    auto add = [&](float (&slice)[COLUMNS / 2]) {
        hold(slice);
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i++) sums[i] += slice[i];
        hold(sums);
    };
    // Multiplies a slice, the smallest parts first. When its first products are queued, those of the slice
    // before are finished.
    auto multiply_slice = [&](float (&here)[COLUMNS / 2], float (&before)[COLUMNS / 2], bool first) {
        wait(weights.full(), weights.phase);
        u64 of_weights = descriptor(weights_at + weights.slot * WEIGHT_BYTES);
        u32 these_weights = weights.empty();
        weights.next();
        #pragma unroll
        for (u32 part = 0; part < PARTS; part++) {
            wait(parts.full(), parts.phase);
            u64 of_part = descriptor(parts_at + parts.slot * PART_BYTES);
            u32 this_part = parts.empty();
            parts.next();
            if (part == 0) hold(here);
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
            #pragma unroll
            for (u32 i = 0; i < SLICE / 16; i++)
                multiply<COLUMNS>(here, of_weights + 2 * i, of_part + 2 * i, part + i);
            asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
            if (part > 0 || !first) {
                wait_for_products<1>();
                release(last_part, lane);
                if (part == 0) release(last_weights, lane), add(before);
            }
            last_part = this_part;
        }
        last_weights = these_weights;
    };
    auto finish = [&](float (&slice)[COLUMNS / 2]) {
        wait_for_products<0>();
        release(last_part, lane), release(last_weights, lane);
        add(slice);
    };
    u32 slice = place.from;
    for (; slice + CHAIN <= place.to; slice += CHAIN) {
        multiply_slice(even, odd, true);
        #pragma unroll
        for (u32 i = 0; i < CHAIN - 2; i += 2) multiply_slice(odd, even, false), multiply_slice(even, odd, false);
        multiply_slice(odd, even, false);
        finish(odd);
    }
    for (; slice < place.to; slice++) multiply_slice(even, odd, true), finish(even);
}

// The same for one part, with sums that stay in the tensor cores.
template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS> __device__ __forceinline__ void sum_slices(
    float (&sums)[COLUMNS / 2], Ring<WEIGHT_SLOTS>& weights, Ring<PART_SLOTS>& parts, u32 weights_at, u32 parts_at,
    const Place& place, u32 lane
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    u32 last_weights = 0, last_part = 0;
    hold(sums);
    for (u32 slice = place.from; slice < place.to; slice++) {
        wait(weights.full(), weights.phase);
        wait(parts.full(), parts.phase);
        u64 of_weights = descriptor(weights_at + weights.slot * WEIGHT_BYTES);
        u64 of_part = descriptor(parts_at + parts.slot * PART_BYTES);
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
        #pragma unroll
        for (u32 i = 0; i < SLICE / 16; i++) multiply<COLUMNS>(sums, of_weights + 2 * i, of_part + 2 * i, 1);
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        // The products of the slice before are finished when only these are under way.
        if (slice > place.from) {
            wait_for_products<1>();
            release(last_weights, lane), release(last_part, lane);
        }
        last_weights = weights.empty(), last_part = parts.empty();
        weights.next(), parts.next();
    }
    wait_for_products<0>();
    release(last_weights, lane), release(last_part, lane);
    hold(sums);
}

// SiLU with a division that errs by two units in the last place at most, without the branch of one that never errs. From
// 2^126 on, such a division gives zero, which SiLU then is next to.
__device__ __forceinline__ float quick_silu(float x) { return __fdividef(x, 1.0f + expf(-x)); }

// Stores a gate, activated by SiLU, times what it gates, and the parts of it. Of the eight rows that a warp has of each,
// a thread has one. A choice between activations for each value would make the code four times as long, and was slower.
template <u32 COLUMNS> __device__ __forceinline__ void store_gated(
    const Product& of, const Place& place, float (&sums)[COLUMNS / 2], u32 output, u32 lane, float* y
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
        float first = quick_silu(sums[i] + bias[0]) * (sums[i + 2] + bias[1]);
        float second = quick_silu(sums[i + 1] + bias[0]) * (sums[i + 3] + bias[1]);
        if (there && row < of.rows) y[(u64)row * of.stride + output] = first;
        if (there && row + 1 < of.rows) y[(u64)(row + 1) * of.stride + output] = second;
        if (!of.y_parts) continue;
        // Of two neighbouring outputs, one thread takes the first row and the other the second one.
        u32 odd = lane / 4 % 2;
        float got = __shfl_xor_sync(~0u, odd ? first : second, 4);
        row += odd;
        if (!there || row >= of.rows) continue;
        u64 at = (u64)row * width + output - odd;
        put_parts((u16*)of.y_parts, (u64)of.rows * width, at, odd ? got : first, odd ? second : got);
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

template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS, bool GATED> __device__ __forceinline__ void products(
    const Operands& operands, const Product& of, float* y, float* cut
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    extern __shared__ __align__(1024) unsigned char memory[];
    __shared__ __align__(8) u64 barriers[2 * (WEIGHT_SLOTS + PART_SLOTS)];
    u32 weights_at = (in_shared(memory) + 1023) & ~1023u, parts_at = weights_at + WEIGHT_SLOTS * WEIGHT_BYTES;
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
            u32 to = weights_at + weights.slot * WEIGHT_BYTES;
            expect(weights.full(), WEIGHT_BYTES);
            if constexpr (GATED) {
                bring_pairs(to, &operands.weights[0], slice * SLICE, place.output / 8, weights.full());
            } else {
                bring(to, &operands.weights[place.layer], slice * SLICE, place.output, weights.full());
            }
            weights.next();
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
                // A tile that reaches past a part's last row has rows of the next part, which nobody stores.
                for (u32 part = PARTS; part-- > 0;) {
                    wait(parts.empty(), parts.phase ^ 1);
                    u32 row = part * of.rows + place.row;
                    u32 to = parts_at + parts.slot * PART_BYTES;
                    expect(parts.full(), PART_BYTES);
                    bring(to, &operands.parts, slice * SLICE, row, parts.full());
                    parts.next();
                }
            }
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    u32 group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    for (Walk walk(of); walk.more(of);) {
        Place place = walk.next(of, COLUMNS);
        float sums[COLUMNS / 2];
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i++) sums[i] = 0;
        if constexpr (PARTS == 1)
            sum_slices<COLUMNS>(sums, weights, parts, weights_at + group * (WEIGHT_BYTES / 2), parts_at, place, lane);
        else
            sum_rounded<COLUMNS>(sums, weights, parts, weights_at + group * (WEIGHT_BYTES / 2), parts_at, place, lane);
        const u32 down = group * 64 + warp * 16 + lane / 4;
        if (place.slot != ~0u) {
            float* to = cut + (u64)place.slot * (COLUMNS * TILE) + down;
            #pragma unroll
            for (u32 i = 0; i < COLUMNS / 2; i++)
                to[(i / 4 * 8 + lane % 4 * 2 + i % 2) * TILE + i / 2 % 2 * 8] = sums[i];
            continue;
        }
        if constexpr (GATED) {
            store_gated<COLUMNS>(of, place, sums, place.output + group * 32 + warp * 8 + lane / 4, lane, y);
        } else {
            store_plain<COLUMNS>(of, place, sums, place.output + down, lane, y + place.column);
        }
    }
}

// Whoever compiles this appends the form that is wanted. Each form has a module of its own, so that they are compiled in
// parallel, and the gate has its own kernels, so that the code of the others stays short.
#define PRODUCTS(NAME, COLUMNS, WEIGHT_SLOTS, PART_SLOTS, GATED)                                                \
    extern "C" __global__ void __launch_bounds__(384, 1) NAME(                                                  \
        const __grid_constant__ Operands operands, const __grid_constant__ Product of, float* y, float* cut     \
    ) {                                                                                                         \
        products<COLUMNS, WEIGHT_SLOTS, PART_SLOTS, GATED>(operands, of, y, cut);                               \
    }
