// One token of one sequence: what a decoder does between two tokens. Activations are F32; weights are
// read once, as they are stored. Nothing waits for the host: the token that comes out is the next one
// that goes in.
//
// Whoever compiles this defines GROUP, the query heads of a key head, and SIZE, the size of a head.
//
// Each kernel may begin while the one before it still runs: it reads weights, which nobody changes, and
// waits before it touches what that one wrote. Activations are read past the first cache, which knows
// nothing of what others write meanwhile.

__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ void wait_for_last() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// ---- The token's way in.

struct Entry {
    u64 words, positions;
    u32 word_element, position_element, width, vocabulary, longest;
};

extern "C" __global__ void __launch_bounds__(256) enter_token(
    Entry of, const u32* token, const u32* position, float* x
) {
    let_next_begin();
    wait_for_last();
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

// ---- Products: y = f(W norm(x) + b), W of rows that lie together.

struct Product {
    u64 weight[3], bias[3];  // up to three layers, their outputs side by side
    u32 outputs[3];
    u32 bias_element, inner, split;
    u32 norm_element, norm_bias_element, norm_kind;  // kind: 0 none, 1 mean and variance, 2 mean square
    u64 norm, norm_bias;
    float epsilon;
    u32 activation, add, weight_element;
};

// Weights that a load brings: 16 bytes, or one element where rows do not begin at such places.
template <u32 ELEMENT, bool WIDE> struct Load;
template <> struct Load<F32, true> { static const u32 COUNT = 4; typedef uint4 Raw; };
template <> struct Load<F16, true> { static const u32 COUNT = 8; typedef uint4 Raw; };
template <> struct Load<BF16, true> { static const u32 COUNT = 8; typedef uint4 Raw; };
template <> struct Load<F32, false> { static const u32 COUNT = 1; typedef u32 Raw; };
template <> struct Load<F16, false> { static const u32 COUNT = 1; typedef u16 Raw; };
template <> struct Load<BF16, false> { static const u32 COUNT = 1; typedef u16 Raw; };

template <u32 ELEMENT> __device__ __forceinline__ void both_values(u32 two, float& low, float& high) {
    if (ELEMENT == BF16) {
        low = __uint_as_float(two << 16), high = __uint_as_float(two & 0xffff0000u);
    } else {
        low = half_value((u16)two), high = half_value((u16)(two >> 16));
    }
}

template <u32 ELEMENT> __device__ __forceinline__ float times(uint4 w, const float* x, u32 far, float sum) {
    float4 a = *(const float4*)x;
    if (ELEMENT == F32) {
        sum = fmaf(__uint_as_float(w.x), a.x, sum), sum = fmaf(__uint_as_float(w.y), a.y, sum);
        sum = fmaf(__uint_as_float(w.z), a.z, sum), sum = fmaf(__uint_as_float(w.w), a.w, sum);
        return sum;
    }
    float4 b = *(const float4*)(x + far);
    float low, high;
    both_values<ELEMENT>(w.x, low, high), sum = fmaf(low, a.x, sum), sum = fmaf(high, a.y, sum);
    both_values<ELEMENT>(w.y, low, high), sum = fmaf(low, a.z, sum), sum = fmaf(high, a.w, sum);
    both_values<ELEMENT>(w.z, low, high), sum = fmaf(low, b.x, sum), sum = fmaf(high, b.y, sum);
    both_values<ELEMENT>(w.w, low, high), sum = fmaf(low, b.z, sum), sum = fmaf(high, b.w, sum);
    return sum;
}
template <u32 ELEMENT> __device__ __forceinline__ float times(u32 w, const float* x, u32, float sum) {
    return fmaf(__uint_as_float(w), *x, sum);
}
template <u32 ELEMENT> __device__ __forceinline__ float times(u16 w, const float* x, u32, float sum) {
    return fmaf(ELEMENT == BF16 ? brain_value(w) : half_value(w), *x, sum);
}

// x, normalised where that is wanted, to shared memory. Of eight values that a load of halves meets the
// first four lie in the first half of the room and the others in the second, so that neighbouring
// threads read neighbouring places.
__device__ __forceinline__ void bring_in(const Product& of, const float* x, u32 count, float* room) {
    float mean = 0, scale = 1;
    if (of.norm_kind) {
        float sum = 0, squares = 0;
        if (of.norm_kind == 1) {
            for (u32 i = threadIdx.x; i < of.inner; i += 256) sum += __ldcg(x + i);
            mean = block_sum(sum) / of.inner;
        }
        for (u32 i = threadIdx.x; i < of.inner; i += 256) {
            float value = __ldcg(x + i) - mean;
            squares += value * value;
        }
        scale = 1.0f / sqrtf(block_sum(squares) / of.inner + of.epsilon);
    }
    u32 far = of.inner / 2;
    for (u32 i = threadIdx.x; i < of.inner; i += 256) {
        float value = __ldcg(x + i);
        if (of.norm_kind) {
            value = (value - mean) * scale * value_at(of.norm, i, of.norm_element);
            if (of.norm_bias) value += value_at(of.norm_bias, i, of.norm_bias_element);
        }
        u32 place = count == 8 ? i / 8 * 4 + i % 4 + (i % 8 < 4 ? 0 : far) : i;
        room[place] = value;
    }
    __syncthreads();
}

// Of three layers the one that a row belongs to; the row becomes that layer's own.
__device__ __forceinline__ u64 place_of(const Product& of, const u64 at[3], u32& row) {
    if (row < of.outputs[0]) return at[0];
    row -= of.outputs[0];
    if (row < of.outputs[1]) return at[1];
    row -= of.outputs[1];
    return at[2];
}

// A row goes to `split` neighbouring warps, whose sums are added in order. With PAIR, row i of the first
// matrix is the gate of row i of the second.
template <u32 ELEMENT, bool WIDE, bool PAIR, u32 DEPTH>
__device__ __forceinline__ void product(const Product& of, const float* x, float* y) {
    typedef typename Load<ELEMENT, WIDE>::Raw Raw;
    const u32 COUNT = Load<ELEMENT, WIDE>::COUNT, STEP = COUNT == 8 ? 4 : COUNT;
    extern __shared__ float room[];  // of.inner values
    __shared__ float parts[2][8];
    let_next_begin();
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, part = warp % of.split;
    u32 rows_here = 8 / of.split, loads = of.inner / COUNT, far = of.inner / 2;
    u32 total = PAIR ? of.outputs[0] : of.outputs[0] + of.outputs[1] + of.outputs[2];
    u32 stride = 32 * of.split, each = stride * DEPTH;
    Raw w[DEPTH], v[PAIR ? DEPTH : 1];
    auto fetch = [&](u32 row, u32 base, Raw* w, Raw* v) {
        u32 own = row;
        u64 weight = PAIR ? of.weight[0] : place_of(of, of.weight, own);
        const Raw* start = (const Raw*)weight + (u64)own * loads;
        const Raw* other = (const Raw*)of.weight[1] + (u64)own * loads;
        #pragma unroll
        for (u32 i = 0; i < DEPTH; i++) {
            u32 at = base + i * stride + part * 32 + lane;
            if (row < total && at < loads) {
                w[i] = __ldcs(start + at);
                if (PAIR) v[i] = __ldcs(other + at);
            }
        }
    };
    u32 row = blockIdx.x * rows_here + warp / of.split, step = gridDim.x * rows_here;
    fetch(row, 0, w, v);
    wait_for_last();
    bring_in(of, x, COUNT, room);
    for (u32 first = blockIdx.x * rows_here; first < total; first += step, row += step) {
        float sum = 0, second = 0;
        for (u32 base = 0; base < loads; base += each) {
            Raw next_w[DEPTH], next_v[PAIR ? DEPTH : 1];
            bool more = base + each < loads;
            fetch(more ? row : row + step, more ? base + each : 0, next_w, next_v);
            #pragma unroll
            for (u32 i = 0; i < DEPTH; i++) {
                u32 at = base + i * stride + part * 32 + lane;
                if (row < total && at < loads) {
                    sum = times<ELEMENT>(w[i], room + at * STEP, far, sum);
                    if (PAIR) second = times<ELEMENT>(v[i], room + at * STEP, far, second);
                }
            }
            #pragma unroll
            for (u32 i = 0; i < DEPTH; i++) {
                w[i] = next_w[i];
                if (PAIR) v[i] = next_v[i];
            }
        }
        sum = warp_sum(sum);
        if (PAIR) second = warp_sum(second);
        if (of.split > 1) {
            if (lane == 0) parts[0][warp] = sum, parts[1][warp] = second;
            __syncthreads();
            sum = 0, second = 0;
            for (u32 i = 0; i < of.split; i++) {
                sum += parts[0][warp / of.split * of.split + i];
                second += parts[1][warp / of.split * of.split + i];
            }
            __syncthreads();
        }
        if (lane || part || row >= total) continue;
        u32 own = row;
        u64 bias = PAIR ? of.bias[0] : place_of(of, of.bias, own);
        if (bias) sum += value_at(bias, own, of.bias_element);
        sum = activated(sum, of.activation);
        if (PAIR) {
            if (of.bias[1]) second += value_at(of.bias[1], own, of.bias_element);
            sum *= second;
        }
        y[row] = of.add ? __ldcg(y + row) + sum : sum;
    }
}

#define PRODUCT(NAME, ELEMENT, WIDE, PAIR, DEPTH)                                                   \
    extern "C" __global__ void __launch_bounds__(256, 3) NAME(Product of, const float* x, float* y) { \
        product<ELEMENT, WIDE, PAIR, DEPTH>(of, x, y);                                              \
    }

// One form for an element type, wide or not: whoever compiles this appends those that a model needs.
#define FORMS(ELEMENT, WIDE)                                          \
    PRODUCT(product_##ELEMENT##_##WIDE, ELEMENT, WIDE, false, 6)      \
    PRODUCT(gated_##ELEMENT##_##WIDE, ELEMENT, WIDE, true, 3)

// A weight stored as [in, out]: a block has 32 outputs, its warps share the rows.
extern "C" __global__ void __launch_bounds__(256) product_turned(
    Product of, const float* x, float* y
) {
    extern __shared__ float room[];
    __shared__ float sums[8][32];
    let_next_begin();
    wait_for_last();
    bring_in(of, x, 1, room);
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, output = blockIdx.x * 32 + lane;
    float sum = 0;
    for (u32 i = warp; i < of.inner && output < of.outputs[0]; i += 8) {
        u64 at = (u64)i * of.outputs[0] + output;
        sum = fmaf(value_at(of.weight[0], at, of.weight_element), room[i], sum);
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp || output >= of.outputs[0]) return;
    sum = 0;
    for (u32 i = 0; i < 8; i++) sum += sums[i][lane];
    if (of.bias[0]) sum += value_at(of.bias[0], output, of.bias_element);
    sum = activated(sum, of.activation);
    y[output] = of.add ? __ldcg(y + output) + sum : sum;
}

// ---- Attention of the new token over all before it.

struct Mixing {
    u64 turns, query_norm, key_norm;  // turns: cosine and sine, [positions][SIZE / 2]
    u32 query_norm_element, key_norm_element;
    float epsilon, scale;
    u32 heads, key_heads, keys_at, values_at, window, neighbours, splits, longest;
};

#define EACH ((SIZE + 31) / 32)

// A head's vector as a warp has it, element lane + 32 i in place i: normalised, then turned.
__device__ __forceinline__ void ready(
    float value[EACH], const float* from, u64 norm, u32 element, const Mixing& of, u32 position, float* row
) {
    u32 lane = threadIdx.x % 32;
    float squares = 0;
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
    if (!of.turns) return;
    const float2* turns = (const float2*)of.turns + (u64)position * (SIZE / 2);
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        u32 j = lane + 32 * i;
        if (j >= SIZE) continue;
        u32 pair = of.neighbours ? j / 2 : j % (SIZE / 2);
        bool first = of.neighbours ? j % 2 == 0 : j < SIZE / 2;
        float2 turn = turns[pair];
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

// A block takes one key head and one part of the keys; the last one of a head joins what all have.
// partial: [key head][split][query of the group][SIZE + 2].
extern "C" __global__ void __launch_bounds__(256) mix_token(
    Mixing of, const float* three, float* keys, float* values, const u32* position, float* partial,
    u32* done, float* mixed
) {
    __shared__ float queries[GROUP][SIZE], own[SIZE], all[8][GROUP][SIZE];
    __shared__ float most_of[8][GROUP], total_of[8][GROUP];
    __shared__ bool last;
    let_next_begin();
    wait_for_last();
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 head = blockIdx.x, split = blockIdx.y, narrow = of.key_heads * SIZE;
    u32 at = min(__ldcg(position), of.longest - 1);
    u32 begin = of.window && at + 1 > of.window ? at + 1 - of.window : 0;
    u32 share = (at + 1 - begin + of.splits - 1) / of.splits;
    u32 from = begin + split * share, to = min(from + share, at + 1);
    float value[EACH];
    for (u32 g = warp; g < GROUP; g += 8) {
        ready(value, three + (head * GROUP + g) * SIZE, of.query_norm, of.query_norm_element, of, at, queries[g]);
        for (u32 i = lane; i < SIZE; i += 32) queries[g][i] *= of.scale * 1.44269504088896340736f;
    }
    const float* own_value = three + of.values_at + head * SIZE;
    if (from <= at && at < to && warp == 7) {
        ready(value, three + of.keys_at + head * SIZE, of.key_norm, of.key_norm_element, of, at, own);
        for (u32 j = lane; j < SIZE; j += 32) {
            keys[(u64)at * narrow + head * SIZE + j] = own[j];
            values[(u64)at * narrow + head * SIZE + j] = __ldcg(own_value + j);
        }
    }
    __syncthreads();
    float most[GROUP], total[GROUP], sums[GROUP][EACH];
    #pragma unroll
    for (u32 g = 0; g < GROUP; g++) {
        most[g] = __int_as_float(0xff800000), total[g] = 0;
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) sums[g][i] = 0;
    }
    for (u32 key = from + warp; key < to; key += 8) {
        float k[EACH], v[EACH];
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            u32 j = lane + 32 * i;
            u64 place = (u64)key * narrow + head * SIZE + j;
            k[i] = j >= SIZE ? 0.0f : key == at ? own[j] : __ldcg(keys + place);
            v[i] = j >= SIZE ? 0.0f : key == at ? __ldcg(own_value + j) : __ldcg(values + place);
        }
        #pragma unroll
        for (u32 g = 0; g < GROUP; g++) {
            float score = 0;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                u32 j = lane + 32 * i;
                if (j < SIZE) score = fmaf(queries[g][j], k[i], score);
            }
            score = warp_sum(score);
            float larger = fmaxf(most[g], score), old = exp2f(most[g] - larger);
            float weight = exp2f(score - larger);
            total[g] = total[g] * old + weight;
            most[g] = larger;
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) sums[g][i] = fmaf(weight, v[i], sums[g][i] * old);
        }
    }
    #pragma unroll
    for (u32 g = 0; g < GROUP; g++) {
        if (lane == 0) most_of[warp][g] = most[g], total_of[warp][g] = total[g];
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            if (lane + 32 * i < SIZE) all[warp][g][lane + 32 * i] = sums[g][i];
        }
    }
    __syncthreads();
    const u32 WIDTH = SIZE + 2;
    float* mine = partial + ((u64)head * of.splits + split) * GROUP * WIDTH;
    for (u32 n = threadIdx.x; n < GROUP * SIZE; n += 256) {
        u32 g = n / SIZE, j = n % SIZE;
        float largest = __int_as_float(0xff800000), sum = 0, weights = 0;
        for (u32 i = 0; i < 8; i++) largest = fmaxf(largest, most_of[i][g]);
        for (u32 i = 0; i < 8; i++) {
            // A warp without a key has nothing to add.
            if (total_of[i][g] == 0) continue;
            float scale = exp2f(most_of[i][g] - largest);
            sum += all[i][g][j] * scale;
            weights += total_of[i][g] * scale;
        }
        mine[g * WIDTH + j] = sum;
        if (j == 0) mine[g * WIDTH + SIZE] = largest, mine[g * WIDTH + SIZE + 1] = weights;
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done + head, 1) == of.splits - 1;
    __syncthreads();
    if (!last) return;
    if (threadIdx.x == 0) done[head] = 0;
    const float* theirs = partial + (u64)head * of.splits * GROUP * WIDTH;
    for (u32 n = threadIdx.x; n < GROUP * SIZE; n += 256) {
        u32 g = n / SIZE, j = n % SIZE;
        float largest = __int_as_float(0xff800000), sum = 0, weights = 0;
        for (u32 s = 0; s < of.splits; s++) {
            largest = fmaxf(largest, __ldcg(theirs + (s * GROUP + g) * WIDTH + SIZE));
        }
        for (u32 s = 0; s < of.splits; s++) {
            const float* part = theirs + (s * GROUP + g) * WIDTH;
            float there = __ldcg(part + SIZE + 1);
            if (there == 0) continue;
            float scale = exp2f(__ldcg(part + SIZE) - largest);
            sum = fmaf(__ldcg(part + j), scale, sum);
            weights = fmaf(there, scale, weights);
        }
        mixed[(head * GROUP + g) * SIZE + j] = sum / weights;
    }
}

// ---- The token's way out.

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
    if (!last || threadIdx.x) return;
    *done = 0;
    value = __int_as_float(0xff800000), place = ~0u;
    for (u32 i = 0; i < gridDim.x; i++) {
        float other = __ldcg(best + i);
        u32 at = __ldcg(where + i);
        if (better(other, at, value, place)) value = other, place = at;
    }
    *token = place;
    *position = __ldcg(position) + 1;
    u32 n = __ldcg(kept);
    if (n < most) kept[1 + n] = place, kept[0] = n + 1;
}
