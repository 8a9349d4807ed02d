// softmax(scale q k^T) v on tensor cores, for inputs of many tokens.
//
// Queries, keys, weights and values are each the sum of PARTS BF16 parts. With three parts, of the nine products of
// parts, the six largest are added; the other three are below what F32 can show. The product of the largest parts has
// sums of its own, because tensor cores truncate every sum, and the truncation of small sums does not matter. With one
// part, all are rounded to BF16, and their product is the only one.
//
// A block takes 64 queries of one head of one sentence and goes over the keys, 64 at a time. Four warps with 16
// queries each take the first 32 keys of a tile, and four others the other 32; in the end their sums are joined. Keys
// and values take turns in one buffer; the next ones are already on their way to registers.

#define BLOCK_QUERIES 64
#define THREADS 256
// One part needs so few registers that two blocks can share a multiprocessor.
#define LEAST_BLOCKS (PARTS == 1 ? 2 : 1)

// Adds the product of 16 by 16 and 16 by 8.
__device__ __forceinline__ void multiply(float (&sums)[4], const u32 (&a)[4], u32 b, u32 c) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9},"
        " {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(c));
}

// The six products of three parts, or the one of one part, for four neighbouring tiles of 8 columns: `large` gets those of the largest parts. The
// tiles take turns, because a product waits for the one before that has the same sums.
__device__ __forceinline__ void multiply_parts(
    float (&large)[4][4], float (&small)[4][4], const u32 (&a)[PARTS][4], const u32 (&b)[PARTS][2][4]
) {
    if constexpr (PARTS == 3) {
        const u32 LEFT[5] = {2, 0, 1, 1, 0}, RIGHT[5] = {0, 2, 1, 0, 1};
        #pragma unroll
        for (u32 i = 0; i < 5; i++)
            #pragma unroll
            for (u32 t = 0; t < 4; t++) {
                const u32 (&part)[4] = b[RIGHT[i] % PARTS][t / 2];
                multiply(small[t], a[LEFT[i] % PARTS], part[t % 2 * 2], part[t % 2 * 2 + 1]);
            }
    }
    #pragma unroll
    for (u32 t = 0; t < 4; t++) multiply(large[t], a[0], b[0][t / 2][t % 2 * 2], b[0][t / 2][t % 2 * 2 + 1]);
}

// Four matrices of 8 by 8, a row from the address of each thread.
__device__ __forceinline__ void fetch_matrices(u32 (&into)[4], u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(into[0]), "=r"(into[1]), "=r"(into[2]), "=r"(into[3]) : "r"(from) : "memory");
}
__device__ __forceinline__ void fetch_transposed(u32 (&into)[4], u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(into[0]), "=r"(into[1]), "=r"(into[2]), "=r"(into[3]) : "r"(from) : "memory");
}

// 64 rows of one head, on their way to shared memory.
template <u32 SIZE> struct Rows {
    static const u32 PITCH = SIZE + 8, COUNT = 64 * SIZE / 4 / THREADS;
    float4 held[COUNT];

    // Rows and columns that are not there are zero.
    __device__ __forceinline__ void fetch(const float* from, u32 stride, u32 rows, u32 head_size) {
        bool four = head_size % 4 == 0 && stride % 4 == 0 && (u64)from % 16 == 0;
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            u32 i = threadIdx.x + n * THREADS, row = i / (SIZE / 4), column = i % (SIZE / 4) * 4;
            float4 values = make_float4(0, 0, 0, 0);
            const float* at = from + (u64)row * stride + column;
            if (row < rows && column < head_size) {
                if (four) {
                    values = *(const float4*)at;
                } else {
                    values.x = at[0];
                    if (column + 1 < head_size) values.y = at[1];
                    if (column + 2 < head_size) values.z = at[2];
                    if (column + 3 < head_size) values.w = at[3];
                }
            }
            held[n] = values;
        }
    }

    // As parts, [PARTS][64][PITCH].
    __device__ __forceinline__ void put(u16* parts, float factor) const {
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            u32 i = threadIdx.x + n * THREADS, row = i / (SIZE / 4), column = i % (SIZE / 4) * 4;
            u32 left[PARTS], right[PARTS];
            split(held[n].x * factor, held[n].y * factor, left);
            split(held[n].z * factor, held[n].w * factor, right);
            #pragma unroll
            for (u32 part = 0; part < PARTS; part++)
                *(uint2*)(parts + (part * 64 + row) * PITCH + column) = make_uint2(left[part], right[part]);
        }
    }
};

template <u32 SIZE> __device__ __forceinline__ void attend_parts(
    const Heads& of, const float* queries, const float* keys, const float* values, const u32* mask, float* out
) {
    const u32 PITCH = SIZE + 8, PART = 64 * PITCH;
    extern __shared__ __align__(16) u16 parts[];
    __shared__ u32 reaches[KEYS];  // The first query that sees a key.
    u16* of_keys = parts + PARTS * PART;
    u32 q_at = (u32)__cvta_generic_to_shared(parts), k_at = (u32)__cvta_generic_to_shared(of_keys);
    u32 head = blockIdx.x, key_head = head * of.key_heads / of.heads;
    u64 sentence = (u64)blockIdx.z * of.tokens;
    // The last queries of a causal model see the most keys. They begin first.
    u32 first = (gridDim.y - 1 - blockIdx.y) * BLOCK_QUERIES;
    u32 warp = threadIdx.x / 32 % 4, half = threadIdx.x / 128, lane = threadIdx.x % 32;
    keys += sentence * of.key_stride + key_head * of.head_size;
    values += sentence * of.value_stride + key_head * of.head_size;
    Rows<SIZE> rows;
    rows.fetch(
        queries + (sentence + first) * of.query_stride + head * of.head_size, of.query_stride, of.tokens - first,
        of.head_size);
    // Scores are powers of two from here on.
    rows.put(parts, of.scale * 1.44269504088896340736f);
    float sums[SIZE / 8][4] = {}, most[2] = {LEAST, LEAST}, total[2] = {0, 0};
    u32 end = of.causal ? min(of.tokens, first + BLOCK_QUERIES) : of.tokens;
    u32 begin = of.window && first + 1 > of.window ? (first + 1 - of.window) / KEYS * KEYS : 0;
    u32 span = of.window ? of.window : ~0u, query = first + warp * 16 + lane / 4;
    // Where this thread's row of four matrices begins: those of q, of this half's keys, and of its values.
    u32 q_row = q_at + ((warp * 16 + lane % 16) * PITCH + lane / 16 * 8) * 2;
    u32 k_row = k_at + ((half * 32 + lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 8) * 2;
    u32 v_row = k_at + ((half * 32 + lane / 8 % 2 * 8 + lane % 8) * PITCH + lane / 16 * 8) * 2;
    rows.fetch(keys + (u64)begin * of.key_stride, of.key_stride, of.tokens - begin, of.head_size);
    for (u32 tile = begin; tile < end; tile += KEYS) {
        __syncthreads();
        rows.put(of_keys, 1);
        if (threadIdx.x < KEYS) {
            u32 key = tile + threadIdx.x;
            bool seen = key < of.tokens && mask[sentence + key];
            reaches[threadIdx.x] = seen ? (of.causal ? key : 0) : ~0u;
        }
        rows.fetch(values + (u64)tile * of.value_stride, of.value_stride, of.tokens - tile, of.head_size);
        __syncthreads();
        float scores[4][4] = {}, small[4][4] = {};
        #pragma unroll 2
        for (u32 inner = 0; inner < SIZE; inner += 16) {
            u32 a[PARTS][4], b[PARTS][2][4];
            #pragma unroll
            for (u32 part = 0; part < PARTS; part++) fetch_matrices(a[part], q_row + (part * PART + inner) * 2);
            #pragma unroll
            for (u32 i = 0; i < 2 * PARTS; i++)
                fetch_matrices(b[i / 2][i % 2], k_row + (i / 2 * PART + i % 2 * 16 * PITCH + inner) * 2);
            multiply_parts(scores, small, a, b);
        }
        // Row 0 is this thread's query, row 1 the one eight below.
        #pragma unroll
        for (u32 row = 0; row < 2; row++) {
            float here = LEAST;
            u32 seen = 0;  // a bit for each key of this thread
            #pragma unroll
            for (u32 i = 0; i < 8; i++) {
                u32 reach = reaches[half * 32 + i / 2 * 8 + lane % 4 * 2 + i % 2], at = query + row * 8;
                float& score = scores[i / 2][row * 2 + i % 2];
                score += small[i / 2][row * 2 + i % 2];
                if (at < reach || at - reach >= span) continue;
                here = fmaxf(here, score);
                seen |= 1 << i;
            }
            for (u32 far = 1; far < 4; far *= 2) here = fmaxf(here, __shfl_xor_sync(~0u, here, far));
            float larger = fmaxf(most[row], here), sum = 0;
            // No key seen yet: nothing to weigh.
            float old = larger == LEAST ? 0.0f : exp2f(most[row] - larger);
            #pragma unroll
            for (u32 i = 0; i < 8; i++) {
                float& score = scores[i / 2][row * 2 + i % 2];
                score = seen >> i & 1 ? exp2f(score - larger) : 0.0f;
                sum += score;
            }
            for (u32 far = 1; far < 4; far *= 2) sum += __shfl_xor_sync(~0u, sum, far);
            total[row] = total[row] * old + sum;
            most[row] = larger;
            #pragma unroll
            for (u32 i = 0; i < SIZE / 8; i++) sums[i][row * 2] *= old, sums[i][row * 2 + 1] *= old;
        }
        u32 weights[2][PARTS][4];  // of 16 keys each
        #pragma unroll
        for (u32 i = 0; i < 8; i++) {
            u32 split_pair[PARTS];
            split(scores[i / 2][i % 2 * 2], scores[i / 2][i % 2 * 2 + 1], split_pair);
            #pragma unroll
            for (u32 part = 0; part < PARTS; part++) weights[i / 4][part][i % 4] = split_pair[part];
        }
        __syncthreads();
        rows.put(of_keys, 1);
        if (tile + KEYS < end) {
            u32 next = tile + KEYS;
            rows.fetch(keys + (u64)next * of.key_stride, of.key_stride, of.tokens - next, of.head_size);
        }
        __syncthreads();
        #pragma unroll
        for (u32 column = 0; column < SIZE; column += 32) {
            float large[4][4] = {}, rest[4][4] = {};
            #pragma unroll
            for (u32 pair = 0; pair < 2; pair++) {
                u32 b[PARTS][2][4];
                #pragma unroll
                for (u32 i = 0; i < 2 * PARTS; i++) {
                    u32 here = column + i % 2 * 16;
                    fetch_transposed(b[i / 2][i % 2], v_row + (i / 2 * PART + pair * 16 * PITCH + here) * 2);
                }
                multiply_parts(large, rest, weights[pair], b);
            }
            #pragma unroll
            for (u32 i = 0; i < 16; i++) sums[column / 8 + i / 4][i % 4] += large[i / 4][i % 4] + rest[i / 4][i % 4];
        }
    }
    // The second half of the warps hands over what it has, [value][thread].
    float* shared = (float*)parts + threadIdx.x % 128;
    __syncthreads();
    if (half == 1) {
        #pragma unroll
        for (u32 i = 0; i < SIZE / 2; i++) shared[i * 128] = sums[i / 4][i % 4];
        #pragma unroll
        for (u32 row = 0; row < 2; row++) {
            shared[(SIZE / 2 + row) * 128] = most[row];
            shared[(SIZE / 2 + 2 + row) * 128] = total[row];
        }
    }
    __syncthreads();
    if (half == 1) return;
    float mine[2], other[2];
    #pragma unroll
    for (u32 row = 0; row < 2; row++) {
        float others = shared[(SIZE / 2 + row) * 128], larger = fmaxf(most[row], others);
        mine[row] = larger == LEAST ? 1.0f : exp2f(most[row] - larger);
        other[row] = larger == LEAST ? 1.0f : exp2f(others - larger);
        total[row] = total[row] * mine[row] + shared[(SIZE / 2 + 2 + row) * 128] * other[row];
    }
    #pragma unroll
    for (u32 i = 0; i < SIZE / 2; i++) {
        u32 row = i / 2 % 2, at = query + row * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (at >= of.tokens || column >= of.head_size) continue;
        float sum = sums[i / 4][i % 4] * mine[row] + shared[i * 128] * other[row];
        // A total of NaN stays one: only what saw no key is zero.
        float value = total[row] == 0 ? 0.0f : sum / total[row];
        out[(sentence + at) * of.heads * of.head_size + head * of.head_size + column] = value;
    }
}

// Whoever compiles this appends the sizes that are wanted.
#define ATTEND_PARTS(SIZE)                                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS, LEAST_BLOCKS) attend_parts_##SIZE(     \
        Heads of, const float* queries, const float* keys, const float* values, const u32* mask, \
        float* out                                                                               \
    ) {                                                                                          \
        begin_behind();                                                                          \
        attend_parts<SIZE>(of, queries, keys, values, mask, out);                                \
    }
