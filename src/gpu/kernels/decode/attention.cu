// Attention of the new token over all before it.

// Cosine and sine for the elements of a vector that a lane has.
__device__ __forceinline__ void find_turns(float2 turns[EACH], const Mixing& of, u32 position) {
    const float2* all = (const float2*)of.turns + (u64)position * (SIZE / 2);
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        u32 j = threadIdx.x % 32 + 32 * i;
        if (ROTARY && j < SIZE) turns[i] = all[of.neighbours ? j / 2 : j % (SIZE / 2)];
    }
}

// A head's vector as a warp has it, element lane + 32 i in place i: normalised, then turned.
__device__ __forceinline__ void ready(
    const float* from, u64 norm, u32 element, const Mixing& of, const float2 turns[EACH], float* row
) {
    u32 lane = threadIdx.x % 32;
    float value[EACH], squares = 0;
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        u32 j = lane + 32 * i;
        value[i] = j < SIZE ? __ldcg(from + j) : 0.0f;
        squares += value[i] * value[i];
    }
    if (norm) {
        float scale = 1.0f / sqrtf(warp_sum(squares) / SIZE + of.epsilon);
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            u32 j = lane + 32 * i;
            if (j < SIZE) value[i] *= scale * value_at(norm, j, element);
        }
    }
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        if (lane + 32 * i < SIZE) row[lane + 32 * i] = value[i];
    }
    __syncwarp();
    if (!ROTARY) return;
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        u32 j = lane + 32 * i;
        if (j >= SIZE) continue;
        bool first = of.neighbours ? j % 2 == 0 : j < SIZE / 2;
        float2 turn = turns[i];
        u32 other = of.neighbours ? (first ? j + 1 : j - 1) : (first ? j + SIZE / 2 : j - SIZE / 2);
        float far = row[other];
        value[i] = first ? row[j] * turn.x - far * turn.y : row[j] * turn.x + far * turn.y;
    }
    __syncwarp();
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        if (lane + 32 * i < SIZE) row[lane + 32 * i] = value[i];
    }
}

#define WARPS 8

// A block takes QUERIES heads that share a key head, and one part of the keys. The blocks of a cluster take parts of
// the same heads; the first one joins their sums, which it reads from their shared memory. Few keys go to one cluster.
// Many keys go to several, and the last cluster of its heads joins what all have, through device memory.
// Few queries a block are done sooner, many read the keys less often. partial: [block of heads][cluster][query][SIZE + 2].
template <u32 QUERIES> __device__ __forceinline__ void mix(
    Mixing of, const float* three, float* keys, float* values, const u32* position,
    float* partial, u32* done, float* mixed
) {
    // Keys that a warp loads and multiplies at once, and keys that a block must have before it pays to join clusters.
    const u32 AT_ONCE = QUERIES == 1 && EACH <= 4 ? 4 : 2, LEAST = CLUSTER == 1 ? 16 : QUERIES == 1 ? 128 : 32;
    __shared__ float queries[QUERIES][SIZE], own[SIZE], all[WARPS][QUERIES][SIZE];
    __shared__ float most_of[WARPS][QUERIES], total_of[WARPS][QUERIES], scale_of[WARPS][QUERIES];
    __shared__ float most_here[QUERIES], total_here[QUERIES];
    __shared__ float scales[QUERIES][MOST_PARTS];
    __shared__ bool last;
    let_next_begin();
    // What is known of the heads makes most branches disappear.
    of.neighbours = NEIGHBOURS, of.query_norm_element = QUERY_NORM_ELEMENT, of.key_norm_element = KEY_NORM_ELEMENT;
    if (!NORMED) of.query_norm = of.key_norm = 0;
    if (!ROTARY) of.turns = 0;
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 head = blockIdx.x * QUERIES / GROUP, cluster = blockIdx.y / CLUSTER;
    u32 at = min(__ldcg(position), of.longest - 1);
    u32 begin = of.window && at + 1 > of.window ? at + 1 - of.window : 0, count = at + 1 - begin;
    u32 clusters = min((count + CLUSTER * LEAST - 1) / (CLUSTER * LEAST), of.splits / CLUSTER);
    if (cluster >= clusters) return;
    u32 share = (count + clusters * CLUSTER - 1) / (clusters * CLUSTER);
    u32 from = min(begin + blockIdx.y * share, at + 1), to = min(from + share, at + 1);
    const float* own_value = three + of.values_at + head * SIZE;
    // The keys go round the warps. A warp takes some at once, so that their loads and sums are under way together.
    float k[AT_ONCE][EACH], v[AT_ONCE][EACH];
    auto fetch = [&](u32 key) {
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++) {
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                u32 j = lane + 32 * i, place = key + WARPS * n;
                u64 start = ((u64)place * of.key_heads + head) * SIZE + j;
                bool there = j < SIZE && place < to && place != at;
                k[n][i] = there ? __ldcg(keys + start) : 0.0f;
                v[n][i] = there ? __ldcg(values + start) : 0.0f;
            }
        }
    };
    fetch(from + warp);
    float2 turns[EACH];
    find_turns(turns, of, at);
    wait_for_last();
    for (u32 g = warp; g < QUERIES; g += WARPS) {
        const float* query = three + (blockIdx.x * QUERIES + g) * SIZE;
        ready(query, of.query_norm, of.query_norm_element, of, turns, queries[g]);
        for (u32 i = lane; i < SIZE; i += 32) queries[g][i] *= of.scale * 1.44269504088896340736f;
    }
    if (from <= at && at < to && warp == WARPS - 1) {
        ready(three + of.keys_at + head * SIZE, of.key_norm, of.key_norm_element, of, turns, own);
        for (u32 j = lane; j < SIZE; j += 32) {
            // One block of those that share a key head keeps it.
            if (blockIdx.x * QUERIES % GROUP) continue;
            u64 place = ((u64)at * of.key_heads + head) * SIZE + j;
            keys[place] = own[j];
            values[place] = __ldcg(own_value + j);
        }
    }
    __syncthreads();
    float most[QUERIES], total[QUERIES], sums[QUERIES][EACH];
    #pragma unroll
    for (u32 g = 0; g < QUERIES; g++) {
        most[g] = __int_as_float(0xff800000), total[g] = 0;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) sums[g][i] = 0;
    }
    for (u32 key = from + warp; key < to; key += WARPS * AT_ONCE) {
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++) {
            if (key + WARPS * n != at) continue;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                u32 j = lane + 32 * i;
                k[n][i] = j < SIZE ? own[j] : 0.0f;
                v[n][i] = j < SIZE ? __ldcg(own_value + j) : 0.0f;
            }
        }
        #pragma unroll
        for (u32 g = 0; g < QUERIES; g++) {
            float score[AT_ONCE], larger = most[g], sum = 0;
            #pragma unroll
            for (u32 n = 0; n < AT_ONCE; n++) {
                score[n] = 0;
                #pragma unroll
                for (u32 i = 0; i < EACH; i++) {
                    u32 j = lane + 32 * i;
                    if (j < SIZE) score[n] = fmaf(queries[g][j], k[n][i], score[n]);
                }
            }
            #pragma unroll
            for (u32 n = 0; n < AT_ONCE; n++) {
                score[n] = warp_sum(score[n]);
                if (key + WARPS * n < to) larger = fmaxf(larger, score[n]);
            }
            float old = larger == most[g] ? 1.0f : exp2f(most[g] - larger);
            #pragma unroll
            for (u32 n = 0; n < AT_ONCE; n++) {
                score[n] = key + WARPS * n < to ? exp2f(score[n] - larger) : 0.0f;
                sum += score[n];
            }
            total[g] = total[g] * old + sum;
            most[g] = larger;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                sums[g][i] *= old;
                #pragma unroll
                for (u32 n = 0; n < AT_ONCE; n++) sums[g][i] = fmaf(score[n], v[n][i], sums[g][i]);
            }
        }
        if (key + WARPS * AT_ONCE < to) fetch(key + WARPS * AT_ONCE);
    }
    #pragma unroll
    for (u32 g = 0; g < QUERIES; g++) {
        if (lane == 0) most_of[warp][g] = most[g], total_of[warp][g] = total[g];
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            if (lane + 32 * i < SIZE) all[warp][g][lane + 32 * i] = sums[g][i];
        }
    }
    __syncthreads();
    // What the warps of this block have together takes the place of the queries, which are not needed any more.
    for (u32 g = warp; g < QUERIES; g += WARPS) {
        float largest = lane < WARPS ? most_of[lane][g] : __int_as_float(0xff800000);
        float weights = lane < WARPS ? total_of[lane][g] : 0.0f, scale = share_of(largest, weights);
        if (lane < WARPS) scale_of[lane][g] = scale;
        if (lane == 0) most_here[g] = largest, total_here[g] = weights;
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 32 * WARPS) {
        u32 g = n / SIZE, j = n % SIZE;
        float sum = 0;
        #pragma unroll
        for (u32 i = 0; i < WARPS; i++) sum = fmaf(all[i][g][j], scale_of[i][g], sum);
        queries[g][j] = sum;
    }
    meet();
    if (blockIdx.y % CLUSTER) {
        // Its memory must stay until the first block has read it.
        meet();
        return;
    }
    for (u32 g = warp; g < QUERIES; g += WARPS) {
        float largest = lane < CLUSTER ? value_of(lane, most_here[g]) : __int_as_float(0xff800000);
        float weights = lane < CLUSTER ? value_of(lane, total_here[g]) : 0.0f, scale = share_of(largest, weights);
        // Where there is no other cluster, the sum is the result.
        scales[g][lane] = clusters == 1 ? scale / weights : scale;
        if (lane == 0) most_of[0][g] = largest, total_of[0][g] = weights;
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 32 * WARPS) {
        u32 g = n / SIZE, j = n % SIZE;
        float sum = 0;
        #pragma unroll
        for (u32 block = 0; block < CLUSTER; block++) {
            sum = fmaf(value_of(block, queries[g][j]), scales[g][block], sum);
        }
        if (clusters == 1) {
            mixed[(blockIdx.x * QUERIES + g) * SIZE + j] = sum;
            continue;
        }
        u64 first = (u64)blockIdx.x * (of.splits / CLUSTER) + cluster;
        float* mine = partial + (first * QUERIES + g) * (SIZE + 2);
        mine[j] = sum;
        if (j == 0) mine[SIZE] = most_of[0][g], mine[SIZE + 1] = total_of[0][g];
    }
    meet();
    if (clusters == 1) return;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done + blockIdx.x, 1) == clusters - 1;
    __syncthreads();
    if (!last) return;
    if (threadIdx.x == 0) done[blockIdx.x] = 0;
    // How much each cluster's sums count, for every query at once; then the sums, all loads under way together.
    const float* theirs = partial + (u64)blockIdx.x * (of.splits / CLUSTER) * QUERIES * (SIZE + 2);
    for (u32 g = warp; g < QUERIES; g += WARPS) {
        const float* part = theirs + (lane * QUERIES + g) * (SIZE + 2);
        bool there = lane < clusters;
        float largest = there ? __ldcg(part + SIZE) : __int_as_float(0xff800000);
        float weights = there ? __ldcg(part + SIZE + 1) : 0.0f, scale = share_of(largest, weights);
        scales[g][lane] = scale / weights;
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 32 * WARPS) {
        u32 g = n / SIZE, j = n % SIZE;
        float sum = 0;
        #pragma unroll 16
        for (u32 part = 0; part < clusters; part++) {
            sum = fmaf(__ldcg(theirs + (part * QUERIES + g) * (SIZE + 2) + j), scales[g][part], sum);
        }
        mixed[(blockIdx.x * QUERIES + g) * SIZE + j] = sum;
    }
}

#define MIX(NAME, QUERIES)                                                                         \
    extern "C" __global__ void CLUSTERED __launch_bounds__(32 * WARPS) NAME(                       \
        Mixing of, const float* three, float* keys, float* values, const u32* position,            \
        float* partial, u32* done, float* mixed                                                    \
    ) {                                                                                            \
        mix<QUERIES>(of, three, keys, values, position, partial, done, mixed);                     \
    }
MIX(mix_heads, 1)
MIX(mix_groups, TOGETHER)
