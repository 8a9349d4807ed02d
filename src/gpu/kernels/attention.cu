// softmax(scale q k^T) v, head by head, without ever writing the scores out.
//
// A block takes some queries of one head of one sentence and goes over the keys, 64 at a time, keeping
// the largest score, the sum of exponentials and the weighted sum of values so far. Threads stand
// 16 by 16: a row of threads has ROWS queries, a thread four keys of each tile and a sixteenth of the
// value columns.

struct Heads {
    u32 tokens, heads, key_heads, head_size, causal;
    u32 query_stride, key_stride, value_stride;
    float scale;
};

#define KEYS 64
#define LEAST __int_as_float(0xff800000)  // minus infinity

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

template <u32 SIZE, u32 ROWS> __device__ __forceinline__ void attend(
    const Heads& of, const float* queries, const float* keys, const float* values, const u32* mask,
    float* out
) {
    const u32 QUERIES = 16 * ROWS, COLUMNS = SIZE / 16;
    extern __shared__ float shared[];
    float* q = shared;                          // [SIZE][QUERIES + 4], transposed
    float* k = q + SIZE * (QUERIES + 4);        // [SIZE][KEYS + 4], transposed
    float* v = k + SIZE * (KEYS + 4);           // [KEYS][SIZE]
    float* p = v + KEYS * SIZE;                 // [KEYS][QUERIES + 4], transposed
    u32 head = blockIdx.y, key_head = head * of.key_heads / of.heads;
    u64 sentence = (u64)blockIdx.z * of.tokens;
    u32 first = blockIdx.x * QUERIES;
    u32 down = threadIdx.x / 16, across = threadIdx.x % 16;
    for (u32 i = threadIdx.x; i < QUERIES * SIZE; i += 256) {
        u32 row = i / SIZE, j = i % SIZE;
        bool there = first + row < of.tokens && j < of.head_size;
        u64 at = (sentence + first + row) * of.query_stride + head * of.head_size + j;
        q[j * (QUERIES + 4) + row] = there ? queries[at] * of.scale : 0.0f;
    }
    float most[ROWS], total[ROWS], sums[ROWS][COLUMNS];
    for (u32 r = 0; r < ROWS; r++) {
        most[r] = LEAST, total[r] = 0;
        for (u32 c = 0; c < COLUMNS; c++) sums[r][c] = 0;
    }
    u32 end = of.causal ? min(of.tokens, first + QUERIES) : of.tokens;
    for (u32 tile = 0; tile < end; tile += KEYS) {
        __syncthreads();
        for (u32 i = threadIdx.x; i < KEYS * SIZE; i += 256) {
            u32 row = i / SIZE, j = i % SIZE;
            bool there = tile + row < of.tokens && j < of.head_size;
            u64 token = sentence + tile + row;
            u32 place = key_head * of.head_size + j;
            k[j * (KEYS + 4) + row] = there ? keys[token * of.key_stride + place] : 0.0f;
            v[row * SIZE + j] = there ? values[token * of.value_stride + place] : 0.0f;
        }
        __syncthreads();
        float scores[ROWS][4] = {};
        #pragma unroll 4
        for (u32 j = 0; j < SIZE; j++) {
            float4 of_k = *(const float4*)&k[j * (KEYS + 4) + across * 4];
            float of_q[ROWS];
            fetch<ROWS>(of_q, &q[j * (QUERIES + 4) + down * ROWS]);
            #pragma unroll
            for (u32 r = 0; r < ROWS; r++) {
                scores[r][0] = fmaf(of_q[r], of_k.x, scores[r][0]);
                scores[r][1] = fmaf(of_q[r], of_k.y, scores[r][1]);
                scores[r][2] = fmaf(of_q[r], of_k.z, scores[r][2]);
                scores[r][3] = fmaf(of_q[r], of_k.w, scores[r][3]);
            }
        }
        for (u32 r = 0; r < ROWS; r++) {
            u32 query = first + down * ROWS + r;
            float here = LEAST;
            bool seen[4];
            for (u32 c = 0; c < 4; c++) {
                u32 key = tile + across * 4 + c;
                seen[c] = key < of.tokens && mask[sentence + key] && !(of.causal && key > query);
                if (seen[c]) here = fmaxf(here, scores[r][c]);
            }
            float larger = fmaxf(most[r], most_of_16(here));
            // No key seen yet: nothing to weigh.
            float old = larger == LEAST ? 0.0f : expf(most[r] - larger), sum = 0;
            for (u32 c = 0; c < 4; c++) {
                float weight = seen[c] ? expf(scores[r][c] - larger) : 0.0f;
                p[(across * 4 + c) * (QUERIES + 4) + down * ROWS + r] = weight;
                sum += weight;
            }
            total[r] = total[r] * old + sum_of_16(sum);
            most[r] = larger;
            for (u32 c = 0; c < COLUMNS; c++) sums[r][c] *= old;
        }
        __syncthreads();
        #pragma unroll 4
        for (u32 key = 0; key < KEYS; key++) {
            float weight[ROWS];
            fetch<ROWS>(weight, &p[key * (QUERIES + 4) + down * ROWS]);
            float value[COLUMNS];
            fetch<COLUMNS>(value, &v[key * SIZE + across * COLUMNS]);
            #pragma unroll
            for (u32 c = 0; c < COLUMNS; c++)
                #pragma unroll
                for (u32 r = 0; r < ROWS; r++) sums[r][c] = fmaf(weight[r], value[c], sums[r][c]);
        }
    }
    for (u32 r = 0; r < ROWS; r++) {
        u32 query = first + down * ROWS + r;
        if (query >= of.tokens) continue;
        for (u32 c = 0; c < COLUMNS; c++) {
            u32 j = across * COLUMNS + c;
            if (j >= of.head_size) continue;
            u64 at = (sentence + query) * of.heads * of.head_size + head * of.head_size + j;
            // A total of NaN stays one: only what saw no key is zero.
            out[at] = total[r] == 0 ? 0.0f : sums[r][c] / total[r];
        }
    }
}

#define ATTEND(SIZE, ROWS)                                                                       \
    extern "C" __global__ void __launch_bounds__(256) attend_##SIZE##_##ROWS(                    \
        Heads of, const float* queries, const float* keys, const float* values, const u32* mask, \
        float* out                                                                               \
    ) {                                                                                          \
        attend<SIZE, ROWS>(of, queries, keys, values, mask, out);                                \
    }

ATTEND(32, 1)
ATTEND(32, 4)
ATTEND(64, 1)
ATTEND(64, 4)
ATTEND(128, 1)
ATTEND(128, 2)
