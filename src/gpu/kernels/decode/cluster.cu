// Attention of the new token: its description, and how sums over parts of the keys are joined. It is compiled with
// GROUP, the query heads of a key head, TOGETHER, those of them that a block takes, SIZE, the size of a head, CLUSTER, the
// blocks of a cluster, ROTARY and NEIGHBOURS, whether and how vectors are turned, and NORMED, whether there are norms over
// heads, with QUERY_NORM_ELEMENT and KEY_NORM_ELEMENT.

struct Mixing {
    u64 turns, query_norm, key_norm;  // turns: cosine and sine, [positions][SIZE / 2]
    u32 query_norm_element, key_norm_element;
    float epsilon, scale;
    u32 heads, key_heads, keys_at, values_at, window, neighbours, splits, longest;
};

#define EACH ((SIZE + 31) / 32)
#define MOST_PARTS 32

#if CLUSTER > 1
#define CLUSTERED __cluster_dims__(1, CLUSTER, 1)
#else
#define CLUSTERED
#endif

// Waits for all threads of the cluster. What they wrote to shared memory can then be read.
__device__ __forceinline__ void meet() {
#if CLUSTER > 1
    __syncwarp();
    asm volatile(
        "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory"
    );
#else
    __syncthreads();
#endif
}

// The value that a block of the cluster has where this one has `own`.
__device__ __forceinline__ float value_of(u32 block, const float& own) {
#if CLUSTER > 1
    u32 here = (u32)__cvta_generic_to_shared(&own), there;
    float value;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(block));
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(there) : "memory");
    return value;
#else
    return own;
#endif
}

// Of parts whose sums are relative to `own`, their largest score, and have this total weight: what the sums of this
// lane's part must be multiplied by before they are added to the others. A part without a key has nothing to add.
// `own` and `total` become those of all parts together.
__device__ __forceinline__ float share_of(float& own, float& total) {
    float largest = own;
    for (int far = 16; far > 0; far /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, far));
    float scale = total == 0 ? 0.0f : exp2f(own - largest);
    own = largest, total = warp_sum(total * scale);
    return scale;
}
