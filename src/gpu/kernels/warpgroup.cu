// y = f(x W^T + b) on the tensor cores of capability 9.0, for BF16 weights and F32 x. `split.cu` has made PARTS
// BF16 parts of x; every product of a part and a weight is exact in F32. Three parts hold every bit of x; one part is
// x rounded to BF16.
//
// A tile is 128 outputs by COLUMNS rows of x. The inner dimension is cut into slices of 64. One thread asks the
// copy engine for the tiles of W and of the parts, through two rings in shared memory. Two warpgroups of 64
// outputs each multiply. Tensor cores truncate their sums, so the sums of each slice are added to others that are
// rounded; this is done while the next slice is multiplied. With one part the sums stay in the tensor cores: rounding x
// costs far more than the truncation, and a tile may be twice as large. A block takes one tile after the other.

// What the copy engine needs to know about a matrix.
struct __align__(128) TensorMap { u64 words[16]; };

struct Operands { TensorMap weights[3], parts; };

struct Product {
    u64 bias[3];
    u32 bias_element[3], outputs[3], first_tile[3];
    u32 layers, tiles, total, rows, inner, pieces, whole, activation, stride;
};

#define TILE 128u
#define SLICE 64u
// Slices that follow each other without a pause. The compiler needs to see where their sums end.
#define CHAIN 4u
#define WEIGHT_BYTES (TILE * SLICE * 2u)

#define TO_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define TO_32 TO_8 ", %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25," \
    " %26, %27, %28, %29, %30, %31"
#define TO_64 TO_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49," \
    " %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TO_128 TO_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81," \
    " %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102," \
    " %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120," \
    " %121, %122, %123, %124, %125, %126, %127"
#define SUMS_8(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), \
    "+f"(sums[i + 5]), "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define SUMS_32(i) SUMS_8(i), SUMS_8(i + 8), SUMS_8(i + 16), SUMS_8(i + 24)

// Adds the products of 64 outputs and COLUMNS rows over 16 of the inner dimension; or sets the sums to them.
template <u32 COLUMNS>
__device__ void multiply(float (&sums)[COLUMNS / 2], u64 weights, u64 parts, u32 add);

#define MULTIPLY(COLUMNS, REGISTERS, OPERANDS, WEIGHTS, PART, ADD)                                              \
    template <> __device__ __forceinline__ void multiply<COLUMNS>(                                              \
        float (&sums)[COLUMNS / 2], u64 weights, u64 parts, u32 add                                             \
    ) {                                                                                                         \
        asm volatile(                                                                                           \
            "{ .reg .pred add; setp.ne.b32 add, %" ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #COLUMNS        \
            "k16.f32.bf16.bf16 {" REGISTERS "}, %" WEIGHTS ", %" PART ", add, 1, 1, 0, 0; }"                    \
            : OPERANDS : "l"(weights), "l"(parts), "r"(add));                                                   \
    }
MULTIPLY(16, TO_8, SUMS_8(0), "8", "9", "10")
MULTIPLY(64, TO_32, SUMS_32(0), "32", "33", "34")
#define SUMS_64(i) SUMS_32(i), SUMS_32(i + 32)
MULTIPLY(128, TO_64, SUMS_64(0), "64", "65", "66")
#define SUMS_128(i) SUMS_64(i), SUMS_64(i + 64)
MULTIPLY(256, TO_128, SUMS_128(0), "128", "129", "130")

__device__ __forceinline__ u32 in_shared(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

__device__ __forceinline__ void wait(u32 barrier, u32 phase) {
    asm volatile(
        "{ .reg .pred over; again: mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1; @over bra end;"
        " bra again; end: }" :: "r"(barrier), "r"(phase) : "memory");
}

// Has the copy engine bring a box of a matrix, and tells the barrier how many bytes will arrive.
__device__ __forceinline__ void bring(u32 to, const TensorMap* of, u32 column, u32 row, u32 bytes, u32 barrier) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
        :: "r"(to), "l"(of), "r"(column), "r"(row), "r"(barrier) : "memory");
}

// Keeps the compiler from moving anything that touches these sums across this place.
template <u32 COUNT> __device__ __forceinline__ void hold(float (&sums)[COUNT]) {
    #pragma unroll
    for (u32 i = 0; i < COUNT; i++) asm volatile("" : "+f"(sums[i]) :: "memory");
}

template <u32 LEFT> __device__ __forceinline__ void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(LEFT) : "memory");
}

// A matrix in shared memory as tensor cores read it: rows of 128 bytes, swizzled, eight rows in 1024 bytes.
__device__ __forceinline__ u64 descriptor(u32 address) {
    return (u64)(address >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

// A ring of slots: the barriers of full ones, then those of empty ones.
template <u32 SLOTS> struct Ring {
    u32 barriers, slot, phase;
    __device__ __forceinline__ Ring(u32 barriers) : barriers(barriers), slot(0), phase(0) {}
    __device__ __forceinline__ u32 full() const { return barriers + 8 * slot; }
    __device__ __forceinline__ u32 empty() const { return barriers + 8 * (SLOTS + slot); }
    __device__ __forceinline__ void next() {
        if (++slot == SLOTS) slot = 0, phase ^= 1;
    }
    // The eight warps that multiply each say that they have done with a slot.
    __device__ __forceinline__ void begin() const {
        for (u32 i = 0; i < SLOTS; i++) {
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(barriers + 8 * i));
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 8;" :: "r"(barriers + 8 * (SLOTS + i)));
        }
    }
};

__device__ __forceinline__ void release(u32 barrier, u32 lane) {
    if (lane == 0) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}

// The tile that a block works on.
struct Place {
    u32 row, layer, column, output, piece, from, to;
    __device__ __forceinline__ Place(const Product& of, u32 unit, u32 columns) {
        u32 row_tiles = (of.rows + columns - 1) / columns, slices = (of.inner + SLICE - 1) / SLICE;
        // Blocks that run at the same time share weights, which are then read from memory once.
        row = unit % row_tiles * columns;
        u32 tile = unit / row_tiles / of.pieces;
        piece = unit / row_tiles % of.pieces;
        layer = 0, column = 0;
        while (layer + 1 < of.layers && tile >= of.first_tile[layer + 1]) column += of.outputs[layer++];
        output = (tile - of.first_tile[layer]) * TILE;
        from = slices * piece / of.pieces, to = slices * (piece + 1) / of.pieces;
    }
};

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

template <u32 COLUMNS, u32 WEIGHT_SLOTS, u32 PART_SLOTS> __device__ __forceinline__ void products(
    const Operands& operands, const Product& of, float* y, float* pieces
) {
    constexpr u32 PART_BYTES = COLUMNS * SLICE * 2;
    extern __shared__ __align__(1024) unsigned char memory[];
    __shared__ __align__(8) u64 barriers[2 * (WEIGHT_SLOTS + PART_SLOTS)];
    u32 weights_at = (in_shared(memory) + 1023) & ~1023u, parts_at = weights_at + WEIGHT_SLOTS * WEIGHT_BYTES;
    Ring<WEIGHT_SLOTS> weights(in_shared(barriers));
    Ring<PART_SLOTS> parts(in_shared(barriers) + 16 * WEIGHT_SLOTS);
    if (threadIdx.x == 0) {
        weights.begin(), parts.begin();
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    u32 units = of.tiles * ((of.rows + COLUMNS - 1) / COLUMNS) * of.pieces;
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x > 0) return;
        for (u32 unit = blockIdx.x; unit < units; unit += gridDim.x) {
            Place place(of, unit, COLUMNS);
            for (u32 slice = place.from; slice < place.to; slice++) {
                wait(weights.empty(), weights.phase ^ 1);
                u32 to = weights_at + weights.slot * WEIGHT_BYTES;
                const TensorMap* matrix = &operands.weights[place.layer];
                bring(to, matrix, slice * SLICE, place.output, WEIGHT_BYTES, weights.full());
                weights.next();
                // A tile that reaches past a part's last row has rows of the next part, which nobody stores.
                for (u32 part = PARTS; part-- > 0;) {
                    wait(parts.empty(), parts.phase ^ 1);
                    u32 row = part * of.rows + place.row;
                    to = parts_at + parts.slot * PART_BYTES;
                    bring(to, &operands.parts, slice * SLICE, row, PART_BYTES, parts.full());
                    parts.next();
                }
            }
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    u32 group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    for (u32 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        Place place(of, unit, COLUMNS);
        float sums[COLUMNS / 2];
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i++) sums[i] = 0;
        if constexpr (PARTS == 1)
            sum_slices<COLUMNS>(sums, weights, parts, weights_at + group * (WEIGHT_BYTES / 2), parts_at, place, lane);
        else
            sum_rounded<COLUMNS>(sums, weights, parts, weights_at + group * (WEIGHT_BYTES / 2), parts_at, place, lane);
        u32 output = place.output + group * 64 + warp * 16 + lane / 4;
        // With one piece and no activation, the sums and the bias are the result.
        u32 stride = of.whole ? of.stride : of.total;
        float* to = (of.whole ? y : pieces + (u64)place.piece * of.rows * of.total) + place.column;
        float bias[2] = {0, 0};
        for (u32 i = 0; i < 2; i++) {
            if (!of.whole || !of.bias[place.layer] || output + 8 * i >= of.outputs[place.layer]) continue;
            bias[i] = value_at(of.bias[place.layer], output + 8 * i, of.bias_element[place.layer]);
        }
        #pragma unroll
        for (u32 i = 0; i < COLUMNS / 2; i++) {
            u32 row = place.row + i / 4 * 8 + lane % 4 * 2 + i % 2, here = output + i / 2 % 2 * 8;
            if (row >= of.rows || here >= of.outputs[place.layer]) continue;
            to[(u64)row * stride + here] = sums[i] + bias[i / 2 % 2];
        }
    }
}

#define PRODUCTS(COLUMNS, WEIGHT_SLOTS, PART_SLOTS)                                                             \
    extern "C" __global__ void __launch_bounds__(384, 1) products_##COLUMNS(                                    \
        const __grid_constant__ Operands operands, const __grid_constant__ Product of, float* y, float* pieces  \
    ) {                                                                                                         \
        products<COLUMNS, WEIGHT_SLOTS, PART_SLOTS>(operands, of, y, pieces);                                   \
    }

// Adds up the sums of pieces of the inner dimension, in order.
extern "C" __global__ void __launch_bounds__(256) add_pieces(
    const __grid_constant__ Product of, const float* pieces, float* y
) {
    u64 at = (u64)blockIdx.x * 256 + threadIdx.x, count = (u64)of.rows * of.total;
    if (at >= count) return;
    u32 row = at / of.total, output = at % of.total, here = output, layer = 0;
    while (here >= of.outputs[layer]) here -= of.outputs[layer++];
    float sum = pieces[at];
    for (u32 piece = 1; piece < of.pieces; piece++) sum += pieces[piece * count + at];
    if (of.bias[layer]) sum += value_at(of.bias[layer], here, of.bias_element[layer]);
    y[(u64)row * of.stride + output] = activated(sum, of.activation);
}
