// One token of one sequence: what a decoder does between two tokens. Activations are F32; weights are
// read once, as they are stored. Nothing waits for the host: the token that comes out is the next one
// that goes in.
//
// The first kernel of a step lets no other begin before the last step has ended, so the position and the keys and
// values of earlier tokens may be read before a wait. Activations are read past the first cache, which knows nothing
// of what others write meanwhile.

// The token's way in and out: its embedding, and the choice of the next one.

struct Entry {
    u64 words, positions;
    u32 word_element, position_element, width, vocabulary, longest;
};

extern "C" __global__ void __launch_bounds__(256) enter_token(
    Entry of, const u32* token, const u32* position, float* x
) {
    wait_for_last();
    let_next_begin();
    u32 at = blockIdx.x * 256 + threadIdx.x;
    if (at >= of.width) return;
    // A token that could not be chosen is none: the host sees it, and this goes on with any other.
    u32 row = min(__ldcg(token), of.vocabulary - 1), place = min(__ldcg(position), of.longest - 1);
    float value = value_at(of.words, (u64)row * of.width + at, of.word_element);
    if (of.positions) {
        value += value_at(of.positions, (u64)place * of.width + at, of.position_element);
    }
    x[at] = value;
}

// The largest logit's index, the lowest among equals; all ones where a logit is not finite. The last
// block to come makes it the next token, and moves on by one position. `kept` is where tokens are kept
// for the host: `kept[0]` counts them.
extern "C" __global__ void __launch_bounds__(1024) choose_token(
    const float* logits, u32 count, float* best, u32* where, u32* done, u32* token, u32* position,
    u32* kept, u32 most
) {
    __shared__ float values[32];
    __shared__ u32 places[32];
    __shared__ bool last;
    let_next_begin();
    wait_for_last();
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float value = __int_as_float(0xff800000);
    u32 place = ~0u;
    bool bad = false;
    // NaN is larger than any; so is what is infinite.
    auto better = [](float a, u32 i, float b, u32 j) { return a > b || (a == b && i < j); };
    u32 step = gridDim.x * 1024;
    for (u32 i = blockIdx.x * 1024 + threadIdx.x; i < count; i += step) {
        float logit = __ldcg(logits + i);
        if (!isfinite(logit)) bad = true;
        if (better(logit, i, value, place)) value = logit, place = i;
    }
    auto join = [&](u32 width) {
        for (u32 far = width / 2; far > 0; far /= 2) {
            float other = __shfl_xor_sync(~0u, value, far);
            u32 at = __shfl_xor_sync(~0u, place, far);
            if (better(other, at, value, place)) value = other, place = at;
        }
    };
    if (__syncthreads_or(bad)) value = __int_as_float(0x7f800000), place = ~0u;
    join(32);
    if (lane == 0) values[warp] = value, places[warp] = place;
    __syncthreads();
    if (warp == 0) {
        value = values[lane], place = places[lane];
        join(32);
        if (lane == 0) {
            best[blockIdx.x] = value, where[blockIdx.x] = place;
            __threadfence();
            last = atomicAdd(done, 1) == gridDim.x - 1;
        }
    }
    __syncthreads();
    if (!last || warp) return;
    value = __int_as_float(0xff800000), place = ~0u;
    for (u32 i = lane; i < gridDim.x; i += 32) {
        float other = __ldcg(best + i);
        u32 at = __ldcg(where + i);
        if (better(other, at, value, place)) value = other, place = at;
    }
    join(32);
    if (lane) return;
    *done = 0;
    *token = place;
    *position = __ldcg(position) + 1;
    u32 n = __ldcg(kept);
    if (n < most) kept[1 + n] = place, kept[0] = n + 1;
}
