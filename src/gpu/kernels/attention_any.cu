// softmax(scale q k^T) v for heads of any size. `attention.cu` keeps its sums in registers and is faster, but
// it needs a form of its own for each size; this kernel serves the sizes that have none.

// A block takes one query of one head, and KEYS keys at a time. Shared memory holds the query, the weighted
// sum of the values so far, and the scores of the keys: 2 * head_size + KEYS values.
extern "C" __global__ void __launch_bounds__(256) attend_any(
    Heads of, const float* queries, const float* keys, const float* values, const u32* mask, float* out
) {
    begin_behind();
    extern __shared__ float shared[];
    float* q = shared;
    float* sums = q + of.head_size;
    float* p = sums + of.head_size;
    u32 query = blockIdx.x, head = blockIdx.y, key_head = head * of.key_heads / of.heads;
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u64 sentence = (u64)blockIdx.z * of.tokens;
    // Scores are powers of two from here on.
    float scale = of.scale * 1.44269504088896340736f, most = LEAST, total = 0;
    for (u32 j = threadIdx.x; j < of.head_size; j += 256) {
        q[j] = queries[(sentence + query) * of.query_stride + head * of.head_size + j] * scale;
        sums[j] = 0;
    }
    u32 end = of.causal ? query + 1 : of.tokens;
    u32 begin = of.window && query + 1 > of.window ? query + 1 - of.window : 0;
    for (u32 tile = begin; tile < end; tile += KEYS) {
        u32 count = min(KEYS, end - tile);
        __syncthreads();
        for (u32 n = warp; n < count; n += 8) {
            const float* key = keys + (sentence + tile + n) * of.key_stride + key_head * of.head_size;
            float score = 0;
            for (u32 j = lane; j < of.head_size; j += 32) score = fmaf(q[j], key[j], score);
            score = warp_sum(score);
            if (lane == 0) p[n] = score;
        }
        __syncthreads();
        // Every thread finds the same maximum.
        float larger = most;
        for (u32 n = 0; n < count; n++) {
            if (mask[sentence + tile + n]) larger = fmaxf(larger, p[n]);
        }
        // No key seen yet: nothing to weigh.
        float old = larger == LEAST ? 0.0f : exp2f(most - larger);
        most = larger;
        __syncthreads();
        if (threadIdx.x < count) {
            bool seen = mask[sentence + tile + threadIdx.x];
            p[threadIdx.x] = seen ? exp2f(p[threadIdx.x] - larger) : 0.0f;
        }
        __syncthreads();
        total *= old;
        for (u32 n = 0; n < count; n++) total += p[n];
        for (u32 j = threadIdx.x; j < of.head_size; j += 256) {
            const float* value = values + (sentence + tile) * of.value_stride + key_head * of.head_size + j;
            float sum = sums[j] * old;
            for (u32 n = 0; n < count; n++) sum = fmaf(p[n], value[(u64)n * of.value_stride], sum);
            sums[j] = sum;
        }
    }
    for (u32 j = threadIdx.x; j < of.head_size; j += 256) {
        u64 at = (sentence + query) * of.heads * of.head_size + head * of.head_size + j;
        // A total of NaN stays one: only what saw no key is zero.
        out[at] = total == 0 ? 0.0f : sums[j] / total;
    }
}
