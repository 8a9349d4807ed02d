// Attention of the new token over all before it.

// Some keys and values at once, so that their loads and sums are under way together.
template <u32 COUNT> struct Keys {
    Vector k[COUNT], v[COUNT];

    // Those that the warp has from `first` on. A key that is not there gets no value, because a register that may hold one
    // of two values is copied, and the copy waits for the load.
    __device__ __forceinline__ void fetch(const Mixing& of, const float* keys, const float* values, u32 head, u32 first) {
        const u32 lane = threadIdx.x % 32;
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            const u32 key = first + n * WARPS * CLUSTER;
            if (key >= of.longest) continue;
            const u64 start = ((u64)key * of.key_heads + head) * SIZE + lane;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                if (lane + 32 * i >= SIZE) continue;
                k[n].at[i] = __ldcg(keys + start + 32 * i), v[n].at[i] = __ldcg(values + start + 32 * i);
            }
        }
    }
};

// What a warp has of a query: its largest score, and sums relative to it.
struct Sums {
    float most, total, at[EACH];

    __device__ __forceinline__ void clear() {
        most = NO_SCORE, total = 0;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) at[i] = 0;
    }

    template <u32 COUNT> __device__ __forceinline__ void add(
        const Vector& query, const Keys<COUNT>& some, const bool there[COUNT]
    ) {
        float score[COUNT], larger = most;
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            score[n] = 0;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                if (threadIdx.x % 32 + 32 * i < SIZE) score[n] = fmaf(query.at[i], some.k[n].at[i], score[n]);
            }
        }
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) score[n] = warp_sum(score[n]);
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            if (there[n]) larger = fmaxf(larger, score[n]);
        }
        const float old = larger == most ? 1.0f : exp2f(most - larger);
        most = larger, total *= old;
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            score[n] = there[n] ? exp2f(score[n] - larger) : 0.0f;
            total += score[n];
        }
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) at[i] *= old;
        // What is not there may be no number at all, so it is not multiplied by zero.
        #pragma unroll
        for (u32 n = 0; n < COUNT; n++) {
            if (!there[n]) continue;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) at[i] = fmaf(score[n], some.v[n].at[i], at[i]);
        }
    }
};

// A block takes QUERIES heads that share a key head. The warps of a cluster's blocks take turns with the keys: each has one
// of WARPS * CLUSTER that follow each other, so it asks for its first keys before it knows how many there are. The first
// block of a cluster joins the sums of all. Few keys go to one cluster. Many keys go to several, and the last cluster of its
// heads joins what all have, through device memory. Few queries a block are done sooner, many read the keys less often.
// partial: [block of heads][cluster][query][SIZE + 2].
template <u32 QUERIES> __device__ __forceinline__ void mix(
    const Mixing& of, const float* three, float* keys, float* values, const u32* position,
    float* partial, u32* done, float* mixed
) {
    // Keys that a warp takes at once, and those of a cluster; and keys that a block must have before it pays to join clusters.
    const u32 AT_ONCE = QUERIES == 1 && EACH <= 4 ? 4 : 2, TILE = WARPS * CLUSTER * AT_ONCE;
    const u32 LEAST_KEYS = QUERIES == 1 ? LEAST_OF_ONE : LEAST_OF_GROUP;
    extern __shared__ float room[];  // [block of the cluster][QUERIES][SIZE]; largest scores, and totals, [block][QUERIES]
    __shared__ float all[WARPS][QUERIES][SIZE], most_of[WARPS][QUERIES], total_of[WARPS][QUERIES];
    __shared__ u64 arrived;
    __shared__ bool last;
    let_next_begin();
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, rank = blockIdx.y % CLUSTER, mine = rank * WARPS + warp;
    const u32 head = blockIdx.x * QUERIES / GROUP, cluster = blockIdx.y / CLUSTER;
    const u32 stored = __ldcg(position);
    Keys<AT_ONCE> some;
    u32 tile = cluster;
    if (!WINDOWED) some.fetch(of, keys, values, head, tile * TILE + mine);
    const u32 at = min(stored, of.longest - 1);
    const u32 begin = WINDOWED && at + 1 > of.window ? at + 1 - of.window : 0, count = at + 1 - begin;
    const u32 clusters = min((count + CLUSTER * LEAST_KEYS - 1) / (CLUSTER * LEAST_KEYS), of.splits / CLUSTER);
    if (cluster >= clusters) return;
    if (WINDOWED) {
        tile += begin / TILE;
        some.fetch(of, keys, values, head, tile * TILE + mine);
    }
    float2 turns[EACH];
    find_turns(turns, of, at);
    Inbox inbox(room, &arrived, CLUSTER * QUERIES * (SIZE + 2) * 4);
    wait_for_last();
    Vector query[QUERIES], own_key, own_value;
    // The newest key is not in the cache yet.
    const bool newest = (at / TILE - begin / TILE) % clusters == cluster && at % (WARPS * CLUSTER) == mine;
    #pragma unroll
    for (u32 g = 0; g < QUERIES; g++) query[g].load(three + (blockIdx.x * QUERIES + g) * SIZE);
    if (newest) {
        own_key.load(three + of.keys_at + head * SIZE);
        own_value.load(three + of.values_at + head * SIZE);
    }
    float* row = all[warp][0];
    Sums sums[QUERIES];
    #pragma unroll
    for (u32 g = 0; g < QUERIES; g++) {
        if (NORMED) query[g].normalise(of.query_norm, QUERY_NORM_ELEMENT, of.epsilon);
        if (ROTARY) query[g].turn(turns, row);
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) query[g].at[i] *= of.scale * 1.44269504088896340736f;
        sums[g].clear();
    }
    if (newest) {
        if (NORMED) own_key.normalise(of.key_norm, KEY_NORM_ELEMENT, of.epsilon);
        if (ROTARY) own_key.turn(turns, row);
        // One block of those that share a key head keeps it.
        if (blockIdx.x * QUERIES % GROUP == 0) {
            const u64 place = ((u64)at * of.key_heads + head) * SIZE;
            own_key.store(keys + place), own_value.store(values + place);
        }
    }
    #pragma unroll 1
    for (; tile * TILE <= at; tile += clusters) {
        bool there[AT_ONCE];
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++) {
            const u32 key = tile * TILE + mine + n * WARPS * CLUSTER;
            there[n] = key <= at && (!WINDOWED || key >= begin);
            if (key == at) some.k[n] = own_key, some.v[n] = own_value;
        }
        #pragma unroll
        for (u32 g = 0; g < QUERIES; g++) sums[g].add(query[g], some, there);
        const u32 next = tile + clusters;
        if (next * TILE <= at) some.fetch(of, keys, values, head, next * TILE + mine);
    }
    #pragma unroll
    for (u32 g = 0; g < QUERIES; g++) {
        if (lane == 0) most_of[warp][g] = sums[g].most, total_of[warp][g] = sums[g].total;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            if (lane + 32 * i < SIZE) all[warp][g][lane + 32 * i] = sums[g].at[i];
        }
    }
    __syncthreads();
    // What the warps of this block have together.
    const u32 MOSTS = CLUSTER * QUERIES * SIZE, TOTALS = MOSTS + CLUSTER * QUERIES;
    inbox.wait_for_first();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 32 * WARPS) {
        const u32 g = n / SIZE, j = n % SIZE;
        float largest = NO_SCORE, total = 0, sum = 0;
        #pragma unroll
        for (u32 i = 0; i < WARPS; i++) largest = fmaxf(largest, most_of[i][g]);
        #pragma unroll
        for (u32 i = 0; i < WARPS; i++) {
            const float share = share_of(most_of[i][g], largest);
            sum = fmaf(all[i][g][j], share, sum), total = fmaf(total_of[i][g], share, total);
        }
        inbox.put(rank * QUERIES * SIZE + n, sum);
        if (j == 0) inbox.put(MOSTS + rank * QUERIES + g, largest), inbox.put(TOTALS + rank * QUERIES + g, total);
    }
    if (rank) return;
    inbox.wait_for_all();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 32 * WARPS) {
        const u32 g = n / SIZE, j = n % SIZE;
        const float *mosts = room + MOSTS + g, *totals = room + TOTALS + g;
        float largest = NO_SCORE, total = 0, sum = 0;
        #pragma unroll
        for (u32 block = 0; block < CLUSTER; block++) largest = fmaxf(largest, mosts[block * QUERIES]);
        #pragma unroll
        for (u32 block = 0; block < CLUSTER; block++) {
            const float share = share_of(mosts[block * QUERIES], largest);
            sum = fmaf(room[block * QUERIES * SIZE + n], share, sum);
            total = fmaf(totals[block * QUERIES], share, total);
        }
        // Where there is no other cluster, this is the result.
        if (clusters == 1) {
            mixed[blockIdx.x * QUERIES * SIZE + n] = sum / total;
            continue;
        }
        const u64 first = (u64)blockIdx.x * (of.splits / CLUSTER) + cluster;
        float* part = partial + (first * QUERIES + g) * (SIZE + 2);
        part[j] = sum;
        if (j == 0) part[SIZE] = largest, part[SIZE + 1] = total;
    }
    if (clusters == 1) return;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done + blockIdx.x, 1) == clusters - 1;
    __syncthreads();
    if (!last) return;
    if (threadIdx.x == 0) done[blockIdx.x] = 0;
    join_clusters<QUERIES>(of, partial, clusters, mixed);
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
