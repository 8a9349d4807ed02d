// softmax(scale q k^T) v on the tensor cores of compute capability 9.0, for inputs of many tokens.
//
// Queries, keys, weights and values are each the sum of PARTS BF16 parts. With three parts, of the nine products of
// parts, the six largest are added; the other three are below what F32 can show. Tensor cores truncate every sum, and
// the truncation of small sums does not matter. So the product of the largest parts comes last, when those of the
// others are there. With one part, all are rounded to BF16, and their product is the only one.
//
// A block takes 64 queries of one head of one sentence. Two groups of four warps multiply: one takes the first, third
// ... tile of 64 keys, the other the second, fourth ...; in the end their sums are joined. While one group computes
// weights, the tensor cores have the other's products. For each group another thread has the copy engine bring the
// parts of keys and values, which `split_tiles` has made, to a ring of slots of the group's own.

// What a thread has of two queries, `at` and eight below.
struct Weighing {
    float most[2], total[2];
    u32 at;

    // Which of 64 keys from `tile` on a query sees, a bit for each; `there` are those that the mask shows.
    __device__ __forceinline__ u64 seen(const Heads& of, u64 there, u32 row, u32 tile) const {
        if (!of.causal) return there;
        // No tile of a causal model begins behind the first query of the block.
        u32 up = at + row * 8 - tile;
        if (up < 63) there &= (2ull << up) - 1;
        if (of.window && up >= of.window) {
            u32 hidden = up + 1 - of.window;
            there = hidden < 64 ? there & ~0ull << hidden : 0;
        }
        return there;
    }

    // From scores, which are powers of two, to weights. `old` are factors of earlier sums.
    __device__ __forceinline__ void weigh(
        const Heads& of, float (&scores)[32], u64 there, u32 tile, u32 lane, float (&old)[2]
    ) {
        #pragma unroll
        for (u32 row = 0; row < 2; row++) {
            u64 seen = this->seen(of, there, row, tile), mine = seen >> lane % 4 * 2;
            float larger = most[row], sum = 0;
            if (seen != ~0ull) {
                #pragma unroll
                for (u32 i = 0; i < 16; i++)
                    if (!(mine >> (i / 2 * 8 + i % 2) & 1)) scores[i / 2 * 4 + row * 2 + i % 2] = LEAST;
            }
            #pragma unroll
            for (u32 i = 0; i < 16; i++) larger = fmaxf(larger, scores[i / 2 * 4 + row * 2 + i % 2]);
            for (u32 far = 1; far < 4; far *= 2) larger = fmaxf(larger, __shfl_xor_sync(~0u, larger, far));
            // No key seen yet: nothing to weigh. Where a key was seen, scores that are no numbers stay so.
            float base = larger == LEAST && seen == 0 ? 0.0f : larger;
            old[row] = exp2f(most[row] - base);
            #pragma unroll
            for (u32 i = 0; i < 16; i++) {
                float& score = scores[i / 2 * 4 + row * 2 + i % 2];
                score = exp2f(score - base);
                sum += score;
            }
            for (u32 far = 1; far < 4; far *= 2) sum += __shfl_xor_sync(~0u, sum, far);
            total[row] = total[row] * old[row] + sum;
            most[row] = larger;
        }
    }
};

// The block's queries as parts, 64 * SIZE / 8 pieces of eight values. Rows and columns that are not there are zero.
template <u32 SIZE> __device__ __forceinline__ void put_queries(
    unsigned char* to, const Heads& of, const float* from, u32 rows
) {
    constexpr u32 COUNT = 8 * SIZE / MULTIPLIERS;
    float held[COUNT][8];
    bool fours = has_fours(from, of.query_stride);
    #pragma unroll
    for (u32 n = 0; n < COUNT; n++) {
        u32 i = threadIdx.x + n * MULTIPLIERS, row = i / (SIZE / 8), column = i % (SIZE / 8) * 8;
        int count = row < rows ? (int)of.head_size - (int)column : 0;
        fetch_eight(held[n], from + (u64)row * of.query_stride + column, count, fours);
    }
    // Scores are powers of two from here on.
    float factor = of.scale * 1.44269504088896340736f;
    #pragma unroll
    for (u32 n = 0; n < COUNT; n++) {
        u32 i = threadIdx.x + n * MULTIPLIERS;
        put_eight<SIZE>(to + place_of_row(i / (SIZE / 8), i % (SIZE / 8)), held[n], factor);
    }
    // Tensor cores read what threads have written.
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Joins what both groups have of 64 queries, and stores it. A group stores half of the columns: it gets the other
// group's sums of these, [value][thread].
template <u32 SIZE> __device__ __forceinline__ void store_joined(
    float* memory, const Heads& of, const Weighing& state, const float (&sums)[SIZE / 2], u32 head, u32 lane,
    float* out, u16* parts
) {
    constexpr u32 COUNT = SIZE / 4;
    u32 group = threadIdx.x / GROUP;
    float* theirs = memory + (1 - group) * (COUNT + 4) * GROUP + threadIdx.x % GROUP;
    float* ours = memory + group * (COUNT + 4) * GROUP + threadIdx.x % GROUP;
    // The memory is that of queries and keys, which nobody reads any more behind this.
    meet();
    #pragma unroll
    for (u32 i = 0; i < COUNT; i++) theirs[i * GROUP] = group ? sums[i] : sums[COUNT + i];
    #pragma unroll
    for (u32 row = 0; row < 2; row++) {
        theirs[(COUNT + row) * GROUP] = state.most[row];
        theirs[(COUNT + 2 + row) * GROUP] = state.total[row];
    }
    meet();
    u32 width = of.heads * of.head_size, first = group * (SIZE / 2) + lane % 4 * 2;
    u32 sentence = blockIdx.z * of.tokens;
    const ProductParts product = {parts, gridDim.z * of.tokens, width};
    bool pairs = of.head_size % 2 == 0 && (u64)out % 8 == 0;
    #pragma unroll
    for (u32 row = 0; row < 2; row++) {
        float most = state.most[row], other = ours[(COUNT + row) * GROUP], larger = fmaxf(most, other);
        float base = larger == LEAST ? 0.0f : larger;
        float own = exp2f(most - base), given = exp2f(other - base);
        float total = state.total[row] * own + ours[(COUNT + 2 + row) * GROUP] * given;
        // A total is no less than the weight of the largest score, which is one.
        own /= total, given /= total;
        float values[SIZE / 16][2];
        #pragma unroll
        for (u32 i = 0; i < SIZE / 8; i++) {
            u32 at = i / 2 * 4 + row * 2 + i % 2;
            float sum = (group ? sums[COUNT + at] : sums[at]) * own + ours[at * GROUP] * given;
            // A total of NaN stays one: only what saw no key is zero.
            values[i / 2][i % 2] = total == 0 ? 0.0f : sum;
        }
        u32 query = state.at + row * 8, column = head * of.head_size + first;
        float factor = 1;
#ifdef HALVES
        // Only heads of 128 have parts: then four threads have a slice.
        if (parts) {
            u32 largest = 0;
            #pragma unroll
            for (u32 i = 0; i < SIZE / 8; i++) largest = max(largest, magnitude(values[i / 2][i % 2]));
            for (u32 far = 1; far < 4; far *= 2) largest = max(largest, __shfl_xor_sync(~0u, largest, far));
            factor = product.scale(sentence + query, column, largest, query < of.tokens && lane % 4 == 0);
        }
#endif
        if (query >= of.tokens) continue;
        #pragma unroll
        for (u32 i = 0; i < SIZE / 16; i++) {
            if (first + i * 8 >= of.head_size) continue;
            float* at = out + (u64)(sentence + query) * width + column + i * 8;
            if (pairs) {
                *(float2*)at = make_float2(values[i][0], values[i][1]);
            } else {
                at[0] = values[i][0];
                if (first + i * 8 + 1 < of.head_size) at[1] = values[i][1];
            }
            // Only heads of an even size have parts.
            if (parts) product.put(sentence + query, column + i * 8, values[i][0], values[i][1], factor);
        }
    }
}

// The ring of this thread's group. This does not depend on earlier kernels.
__device__ __forceinline__ Ring<SLOTS> begin_rings(u32 group) {
    __shared__ __align__(8) u64 barriers[2][2 * SLOTS];
    if (threadIdx.x == 0) {
        Ring<SLOTS>(in_shared(barriers[0])).begin(GROUP / 32);
        Ring<SLOTS>(in_shared(barriers[1])).begin(GROUP / 32);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    return Ring<SLOTS>(in_shared(barriers[group]));
}

template <u32 SIZE> __device__ __forceinline__ void attend_parts(
    const Heads& of, Ring<SLOTS> ring, u32 group, const float* queries, const unsigned char* tiles, const u32* mask,
    float* out, u16* parts
) {
    extern __shared__ __align__(1024) unsigned char memory[];
    u32 shift = -in_shared(memory) & 1023, queries_at = in_shared(memory) + shift;
    u32 slots = queries_at + TILE_BYTES<SIZE> + group * SLOTS * PART_BYTES<SIZE>;
    u32 head = blockIdx.x, key_head = head * of.key_heads / of.heads;
    u64 sentence = (u64)blockIdx.z * of.tokens;
    // The last queries of a causal model see the most keys. They begin first.
    u32 first = (gridDim.y - 1 - blockIdx.y) * 64;
    u32 end = of.causal ? min(of.tokens, first + 64) : of.tokens;
    u32 begin = of.window && first + 1 > of.window ? (first + 1 - of.window) / KEYS * KEYS : 0;
    begin += group * KEYS;
    if (threadIdx.x >= MULTIPLIERS) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (threadIdx.x % 32 == 0 && threadIdx.x < MULTIPLIERS + 64)
            bring_tiles<SIZE>(tiles + tiles_of<SIZE>(of, blockIdx.z, key_head), begin, end, ring, slots);
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(BLOCKS<SIZE> == 2 ? 104 : 240));
    u32 lane = threadIdx.x % 32;
    put_queries<SIZE>(
        memory + shift, of, queries + (sentence + first) * of.query_stride + head * of.head_size, of.tokens - first);
    meet();
    u64 of_queries = descriptor(queries_at);
    Weighing state = {{LEAST, LEAST}, {0, 0}, first + threadIdx.x / 32 % 4 * 16 + lane / 4};
    float sums[SIZE / 2] = {};
    for (u32 tile = begin; tile < end; tile += 2 * KEYS) {
        u32 low = tile + lane, high = low + 32;
        bool sees_low = low < of.tokens && mask[sentence + low], sees_high = high < of.tokens && mask[sentence + high];
        float scores[32], old[2];
        multiply_keys<SIZE>(scores, ring, slots, lane, of_queries);
        u64 there = (u64)__ballot_sync(~0u, sees_high) << 32 | __ballot_sync(~0u, sees_low);
        state.weigh(of, scores, there, tile, lane, old);
        multiply_values<SIZE>(sums, old, scores, ring, slots, lane, of.tokens == 0);
    }
    store_joined<SIZE>((float*)(memory + shift), of, state, sums, head, lane, out, parts);
}

// Whoever compiles this appends the sizes that are wanted.
#define ATTEND_PARTS(SIZE)                                                                                  \
    extern "C" __global__ void __launch_bounds__(MULTIPLIERS + GROUP, BLOCKS<SIZE>) attend_parts_##SIZE(    \
        Heads of, const float* queries, const unsigned char* tiles, const u32* mask, float* out, u16* parts \
    ) {                                                                                                     \
        let_next_begin();                                                                                   \
        u32 thread = threadIdx.x;                                                                           \
        u32 group = (thread < MULTIPLIERS ? thread / GROUP : thread / 32) % 2;                              \
        Ring<SLOTS> ring = begin_rings(group);                                                              \
        wait_for_last();                                                                                    \
        attend_parts<SIZE>(of, ring, group, queries, tiles, mask, out, parts);                              \
    }
