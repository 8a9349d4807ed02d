// Attention of the new token: its description, and how sums over parts of the keys are joined. It is compiled with
// GROUP, the query heads of a key head, TOGETHER, those of them that a block takes, SIZE, the size of a head, CLUSTER, the
// blocks of a cluster, LEAST_OF_ONE and LEAST_OF_GROUP, the keys that a block with one query head or with TOGETHER of them
// must have before it pays to join clusters, WINDOWED, whether a token sees few of the keys before it, ROTARY and NEIGHBOURS, whether and how
// vectors are turned, and NORMED, whether there are norms over heads, with QUERY_NORM_ELEMENT and KEY_NORM_ELEMENT.

struct Mixing {
    u64 turns, query_norm, key_norm;  // turns: cosine and sine, [positions][SIZE / 2]
    float epsilon, scale;
    u32 key_heads, keys_at, values_at, window, splits, longest;
};

#define EACH ((SIZE + 31) / 32)
#define MOST_PARTS 32
#define WARPS 8
#define NO_SCORE __int_as_float(0xff800000)  // minus infinity

#if CLUSTER > 1
#define CLUSTERED __cluster_dims__(1, CLUSTER, 1)
#else
#define CLUSTERED
#endif

// Sums relative to the score `own`: what they must be multiplied by to be relative to `largest`. A part without a key has
// nothing to add.
__device__ __forceinline__ float share_of(float own, float largest) {
    return own == NO_SCORE ? 0.0f : exp2f(own - largest);
}

// Shared memory of the first block of a cluster, in which all its blocks put values. A store counts its bytes where it
// arrives. So nobody waits for a barrier of the cluster, which also waits for what went to device memory.
struct Inbox {
    float* values;
    u64* arrived;
    u32 values_there, arrived_there;

    // Opens it for so many bytes. Nobody puts anything before `wait_for_first`.
    __device__ __forceinline__ Inbox(float* values, u64* arrived, u32 bytes) : values(values), arrived(arrived) {
#if CLUSTER > 1
        if (threadIdx.x == 0 && blockIdx.y % CLUSTER == 0) {
            open_barrier(shared_address(arrived));
            expect_bytes(shared_address(arrived), bytes);
        }
        __syncwarp();
        asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
    }

    // Waits until the first block has opened its own.
    __device__ __forceinline__ void wait_for_first() {
#if CLUSTER > 1
        const u32 here = shared_address(values), bar = shared_address(arrived);
        asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
        asm volatile("mapa.shared::cluster.u32 %0, %1, 0;" : "=r"(values_there) : "r"(here));
        asm volatile("mapa.shared::cluster.u32 %0, %1, 0;" : "=r"(arrived_there) : "r"(bar));
#endif
    }

    __device__ __forceinline__ void put(u32 place, float value) {
#if CLUSTER > 1
        asm volatile(
            "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];"
            ::"r"(values_there + 4 * place), "r"(__float_as_uint(value)), "r"(arrived_there) : "memory"
        );
#else
        values[place] = value;
#endif
    }

    // In the first block: waits until everything is there.
    __device__ __forceinline__ void wait_for_all() {
#if CLUSTER > 1
        wait_for_bytes(shared_address(arrived));
#else
        __syncthreads();
#endif
    }
};

// Joins what several clusters left for the heads of this block: it came last.
template <u32 QUERIES> __device__ __forceinline__ void join_clusters(
    const Mixing& of, const float* partial, u32 clusters, float* mixed
) {
    __shared__ float scales[QUERIES][MOST_PARTS];
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // How much each cluster's sums count, for every query at once; then the sums, all loads under way together.
    const float* theirs = partial + (u64)blockIdx.x * (of.splits / CLUSTER) * QUERIES * (SIZE + 2);
    for (u32 g = warp; g < QUERIES; g += WARPS) {
        const float* part = theirs + (lane * QUERIES + g) * (SIZE + 2);
        const bool there = lane < clusters;
        const float own = there ? __ldcg(part + SIZE) : NO_SCORE;
        float largest = own;
        for (u32 far = 16; far > 0; far /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, far));
        const float share = share_of(own, largest), total = there ? __ldcg(part + SIZE + 1) : 0.0f;
        scales[g][lane] = share / warp_sum(total * share);
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 32 * WARPS) {
        const u32 g = n / SIZE, j = n % SIZE;
        float sum = 0;
        #pragma unroll 16
        for (u32 part = 0; part < clusters; part++) {
            sum = fmaf(__ldcg(theirs + (part * QUERIES + g) * (SIZE + 2) + j), scales[g][part], sum);
        }
        mixed[blockIdx.x * QUERIES * SIZE + n] = sum;
    }
}
