// The vector of a head, as a warp has it: element lane + 32 i in place i.

struct Vector {
    float at[EACH];

    __device__ __forceinline__ void load(const float* from) {
        const u32 lane = threadIdx.x % 32;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) at[i] = lane + 32 * i < SIZE ? __ldcg(from + lane + 32 * i) : 0.0f;
    }

    __device__ __forceinline__ void store(float* to) const {
        const u32 lane = threadIdx.x % 32;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            if (lane + 32 * i < SIZE) to[lane + 32 * i] = at[i];
        }
    }

    __device__ __forceinline__ void normalise(u64 norm, u32 element, float epsilon) {
        const u32 lane = threadIdx.x % 32;
        float squares = 0;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) squares += at[i] * at[i];
        float scale = 1.0f / sqrtf(warp_sum(squares) / SIZE + epsilon);
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            if (lane + 32 * i < SIZE) at[i] *= scale * value_at(norm, lane + 32 * i, element);
        }
    }

    // Turns pairs of elements by angles of which `turns` has cosine and sine. Where neither this thread nor the next one has
    // the other element of a pair, both pass through `row`, which is the warp's own.
    __device__ __forceinline__ void turn(const float2 turns[EACH], float* row) {
        const bool here = !NEIGHBOURS && SIZE % 64 == 0;
        const u32 lane = threadIdx.x % 32;
        if (!here && !NEIGHBOURS) {
            store(row);
            __syncwarp();
        }
        float other[EACH];
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            const u32 j = lane + 32 * i;
            if (NEIGHBOURS) {
                other[i] = __shfl_xor_sync(~0u, at[i], 1);
            } else if (here) {
                other[i] = at[i < EACH / 2 ? i + EACH / 2 : i - EACH / 2];
            } else if (j < SIZE) {
                other[i] = row[j < SIZE / 2 ? j + SIZE / 2 : j - SIZE / 2];
            }
        }
        __syncwarp();
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            const u32 j = lane + 32 * i;
            const bool first = NEIGHBOURS ? j % 2 == 0 : j < SIZE / 2;
            if (j < SIZE) at[i] = at[i] * turns[i].x + other[i] * (first ? -turns[i].y : turns[i].y);
        }
    }
};

// Cosine and sine for the elements of a vector that a lane has.
__device__ __forceinline__ void find_turns(float2 turns[EACH], const Mixing& of, u32 position) {
    const float2* all = (const float2*)of.turns + (u64)position * (SIZE / 2);
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        const u32 j = threadIdx.x % 32 + 32 * i;
        if (ROTARY && j < SIZE) turns[i] = all[NEIGHBOURS ? j / 2 : j % (SIZE / 2)];
    }
}
