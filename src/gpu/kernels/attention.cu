// softmax(scale q k^T) v, head by head, without ever writing the scores out.
//
// A block takes some queries of one head of one sentence and goes over the keys, 64 at a time, keeping
// the largest score, the sum of exponentials and the weighted sum of values so far. Threads stand 16
// by 16: a row of threads has ROWS queries, a thread every 16th key of a tile and some columns of the
// values; where those are too few for 16 threads, two share a column and take every other key.

// Joins what 16 neighbouring threads have.
__device__ __forceinline__ float most_of_16(float value) {
    for (int far = 8; far > 0; far /= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, far));
    return value;
}
__device__ __forceinline__ float sum_of_16(float value) {
    for (int far = 8; far > 0; far /= 2) value += __shfl_xor_sync(~0u, value, far);
    return value;
}

// One value, or several from an address that is a multiple of their size.
template <u32 COUNT> __device__ __forceinline__ void fetch(float into[COUNT], const float* from);
template <> __device__ __forceinline__ void fetch<1>(float into[1], const float* from) {
    into[0] = *from;
}
template <> __device__ __forceinline__ void fetch<2>(float into[2], const float* from) {
    float2 two = *(const float2*)from;
    into[0] = two.x, into[1] = two.y;
}
template <> __device__ __forceinline__ void fetch<4>(float into[4], const float* from) {
    float4 four = *(const float4*)from;
    into[0] = four.x, into[1] = four.y, into[2] = four.z, into[3] = four.w;
}

template <> __device__ __forceinline__ void fetch<8>(float into[8], const float* from) {
    fetch<4>(into, from);
    fetch<4>(into + 4, from + 4);
}

template <u32 COUNT> __device__ __forceinline__ void put(float* to, const float from[COUNT]) {
    #pragma unroll
    for (u32 i = 0; i < COUNT; i += 4) {
        if (COUNT % 4 == 0) {
            *(float4*)(to + i) = make_float4(from[i], from[i + 1], from[i + 2], from[i + 3]);
        } else {
            for (u32 j = i; j < COUNT; j++) to[j] = from[j];
        }
    }
}

template <u32 SIZE, u32 ROWS> __device__ __forceinline__ void attend(
    const Heads& of, const float* queries, const float* keys, const float* values, const u32* mask,
    float* out
) {
    // A pitch of four more than a multiple of 32 keeps neighbouring rows in different banks.
    const u32 QUERIES = 16 * ROWS, PITCH = SIZE + 4;
    const u32 COLUMNS = SIZE < 64 ? 4 : SIZE / 16, GROUPS = SIZE / COLUMNS, PARTS = 16 / GROUPS;
    extern __shared__ float shared[];
    float* q = shared;                // [QUERIES][PITCH]
    float* k = q + QUERIES * PITCH;   // [KEYS][PITCH]
    float* v = k + KEYS * PITCH;      // [KEYS][SIZE]
    float* p = v + KEYS * SIZE;       // [KEYS][QUERIES + 4]
    u32 head = blockIdx.y, key_head = head * of.key_heads / of.heads;
    u64 sentence = (u64)blockIdx.z * of.tokens;
    u32 first = blockIdx.x * QUERIES;
    u32 down = threadIdx.x / 16, across = threadIdx.x % 16;
    // Scores are powers of two from here on.
    float scale = of.scale * 1.44269504088896340736f;
    for (u32 i = threadIdx.x; i < QUERIES * SIZE; i += 256) {
        u32 row = i / SIZE, j = i % SIZE;
        bool there = first + row < of.tokens && j < of.head_size;
        u64 at = (sentence + first + row) * of.query_stride + head * of.head_size + j;
        q[row * PITCH + j] = there ? queries[at] * scale : 0.0f;
    }
    float most[ROWS], total[ROWS], sums[ROWS][COLUMNS];
    for (u32 r = 0; r < ROWS; r++) {
        most[r] = LEAST, total[r] = 0;
        for (u32 c = 0; c < COLUMNS; c++) sums[r][c] = 0;
    }
    u32 end = of.causal ? min(of.tokens, first + QUERIES) : of.tokens;
    // Tiles that no query of the block sees are left out.
    u32 begin = of.window && first + 1 > of.window ? (first + 1 - of.window) / KEYS * KEYS : 0;
    for (u32 tile = begin; tile < end; tile += KEYS) {
        __syncthreads();
        for (u32 i = threadIdx.x; i < KEYS * SIZE; i += 256) {
            u32 row = i / SIZE, j = i % SIZE;
            bool there = tile + row < of.tokens && j < of.head_size;
            u64 token = sentence + tile + row;
            u32 place = key_head * of.head_size + j;
            k[row * PITCH + j] = there ? keys[token * of.key_stride + place] : 0.0f;
            v[row * SIZE + j] = there ? values[token * of.value_stride + place] : 0.0f;
        }
        u32 reach[4], span = of.window ? of.window : ~0u;  // The first query that sees the key.
        for (u32 c = 0; c < 4; c++) {
            u32 key = tile + across + 16 * c;
            bool seen = key < of.tokens && mask[sentence + key];
            reach[c] = seen ? (of.causal ? key : 0) : ~0u;
        }
        __syncthreads();
        float scores[ROWS][4] = {};
        #pragma unroll 2
        for (u32 j = 0; j < SIZE; j += 4) {
            float of_k[4][4];
            #pragma unroll
            for (u32 c = 0; c < 4; c++) fetch<4>(of_k[c], &k[(across + 16 * c) * PITCH + j]);
            #pragma unroll
            for (u32 r = 0; r < ROWS; r++) {
                float of_q[4];
                fetch<4>(of_q, &q[(down * ROWS + r) * PITCH + j]);
                #pragma unroll
                for (u32 c = 0; c < 4; c++)
                    #pragma unroll
                    for (u32 i = 0; i < 4; i++) scores[r][c] = fmaf(of_q[i], of_k[c][i], scores[r][c]);
            }
        }
        #pragma unroll
        for (u32 r = 0; r < ROWS; r++) {
            u32 query = first + down * ROWS + r;
            float here = LEAST;
            for (u32 c = 0; c < 4; c++) {
                if (query >= reach[c] && query - reach[c] < span) here = fmaxf(here, scores[r][c]);
            }
            float larger = fmaxf(most[r], most_of_16(here));
            // No key seen yet: nothing to weigh.
            float old = larger == LEAST ? 0.0f : exp2f(most[r] - larger), sum = 0;
            for (u32 c = 0; c < 4; c++) {
                bool seen = query >= reach[c] && query - reach[c] < span;
                scores[r][c] = seen ? exp2f(scores[r][c] - larger) : 0.0f;
                sum += scores[r][c];
            }
            total[r] = total[r] * old + sum_of_16(sum);
            most[r] = larger;
            for (u32 c = 0; c < COLUMNS; c++) sums[r][c] *= old;
        }
        #pragma unroll
        for (u32 c = 0; c < 4; c++) {
            float weights[ROWS];
            for (u32 r = 0; r < ROWS; r++) weights[r] = scores[r][c];
            put<ROWS>(&p[(across + 16 * c) * (QUERIES + 4) + down * ROWS], weights);
        }
        __syncthreads();
        #pragma unroll 4
        for (u32 key = across / GROUPS; key < KEYS; key += PARTS) {
            float weight[ROWS];
            fetch<ROWS>(weight, &p[key * (QUERIES + 4) + down * ROWS]);
            #pragma unroll
            for (u32 c = 0; c < COLUMNS; c += 4) {
                float value[4];
                fetch<4>(value, &v[key * SIZE + c * GROUPS + across % GROUPS * 4]);
                #pragma unroll
                for (u32 i = 0; i < 4; i++)
                    #pragma unroll
                    for (u32 r = 0; r < ROWS; r++) {
                        sums[r][c + i] = fmaf(weight[r], value[i], sums[r][c + i]);
                    }
            }
        }
    }
    #pragma unroll
    for (u32 r = 0; r < ROWS; r++) {
        u32 query = first + down * ROWS + r;
        #pragma unroll
        for (u32 c = 0; c < COLUMNS; c++) {
            float sum = sums[r][c];
            if (PARTS == 2) sum += __shfl_xor_sync(~0u, sum, GROUPS);
            u32 j = c / 4 * 4 * GROUPS + across % GROUPS * 4 + c % 4;
            if (query >= of.tokens || j >= of.head_size || across >= GROUPS) continue;
            u64 at = (sentence + query) * of.heads * of.head_size + head * of.head_size + j;
            // A total of NaN stays one: only what saw no key is zero.
            out[at] = total[r] == 0 ? 0.0f : sum / total[r];
        }
    }
}

// Whoever compiles this appends the forms that are wanted.
#define ATTEND(SIZE, ROWS)                                                                       \
    extern "C" __global__ void __launch_bounds__(256, 2) attend_##ROWS(                          \
        Heads of, const float* queries, const float* keys, const float* values, const u32* mask, \
        float* out                                                                               \
    ) {                                                                                          \
        begin_behind();                                                                          \
        attend<SIZE, ROWS>(of, queries, keys, values, mask, out);                                \
    }
