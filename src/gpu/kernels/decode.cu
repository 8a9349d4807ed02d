// One token of one sequence: what a decoder does between two tokens. Activations are F32; weights are
// read once, as they are stored. Nothing waits for the host: the token that comes out is the next one
// that goes in.
//
// This source is compiled in parts, so that models share what they have in common: with SHARED the
// kernels of every model; with GROUP, the query heads of a key head, TOGETHER, those of them that a block
// takes, SIZE, the size of a head, and CLUSTER, the blocks of a cluster, attention; and with a line FORMS behind it,
// the products of one form of weights.
//
// Each kernel may begin while the one before it still runs: it reads weights, which nobody changes, and
// waits before it touches what that one wrote. The first kernel of a step lets no other begin before the last step
// has ended, so the position and the keys and values of earlier tokens may be read before that wait too.
// Activations are read past the first cache, which knows nothing of what others write meanwhile.

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

#ifdef SHARED
// ---- The token's way in.

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

#endif

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

// Threads of a block that multiplies, and its warps.
#define WIDTH 512
#define WARPS 16

// Four values of a vector: in one go where they lie so.
__device__ __forceinline__ float4 four_at(u64 start, u32 four, u32 element) {
    if (element == F32) {
        if (start % 16 == 0) return ((const float4*)start)[four];
    } else if (start % 8 == 0) {
        uint2 raw = ((const uint2*)start)[four];
        float4 value;
        if (element == BF16) {
            both_values<BF16>(raw.x, value.x, value.y), both_values<BF16>(raw.y, value.z, value.w);
        } else {
            both_values<F16>(raw.x, value.x, value.y), both_values<F16>(raw.y, value.z, value.w);
        }
        return value;
    }
    u64 at = (u64)four * 4;
    return make_float4(
        value_at(start, at, element), value_at(start, at + 1, element),
        value_at(start, at + 2, element), value_at(start, at + 3, element)
    );
}

// Where element i of x lies in shared memory. Of eight values that a load of halves meets the first four
// lie in the first half of the room and the others in the second, so that neighbouring threads read
// neighbouring places.
__device__ __forceinline__ u32 place_in(u32 i, u32 count, u32 far) {
    return count == 8 ? i / 8 * 4 + i % 4 + (i % 8 < 4 ? 0 : far) : i;
}

// Whether x may be taken in times its norm's factors, and the scale applied to the sums: a norm by the
// mean square alone.
__device__ __forceinline__ bool scales_late(const Product& of) {
    return of.norm_kind == 2 && !of.norm_bias && of.inner % 4 == 0;
}

// x to shared memory: as it is, times its norm's factors where the scale comes later, or normalised.
// `factor` are the factors of a thread's first four values, which nobody writes: they were asked for
// before there was an x. A thread's sum of squares is what it returns.
__device__ __forceinline__ float bring_in(
    const Product& of, const float* x, u32 count, float* room, float4 factor
) {
    u32 fours = of.inner / 4, far = of.inner / 2;
    float squares = 0;
    if (of.inner % 4 == 0 && (!of.norm_kind || scales_late(of))) {
        for (u32 four = threadIdx.x; four < fours; four += WIDTH) {
            float4 value = __ldcg((const float4*)x + four);
            if (of.norm_kind) {
                if (four != threadIdx.x) factor = four_at(of.norm, four, of.norm_element);
                squares += value.x * value.x + value.y * value.y + value.z * value.z + value.w * value.w;
                value.x *= factor.x, value.y *= factor.y, value.z *= factor.z, value.w *= factor.w;
            }
            *(float4*)(room + place_in(four * 4, count, far)) = value;
        }
        return squares;
    }
    float mean = 0, scale = 1, sum = 0;
    if (of.norm_kind == 1) {
        for (u32 i = threadIdx.x; i < of.inner; i += WIDTH) sum += __ldcg(x + i);
        mean = block_sum(sum) / of.inner;
    }
    if (of.norm_kind) {
        for (u32 i = threadIdx.x; i < of.inner; i += WIDTH) {
            float value = __ldcg(x + i) - mean;
            squares += value * value;
        }
        scale = 1.0f / sqrtf(block_sum(squares) / of.inner + of.epsilon);
    }
    for (u32 i = threadIdx.x; i < of.inner; i += WIDTH) {
        float value = __ldcg(x + i);
        if (of.norm_kind) {
            value = (value - mean) * scale * value_at(of.norm, i, of.norm_element);
            if (of.norm_bias) value += value_at(of.norm_bias, i, of.norm_bias_element);
        }
        room[place_in(i, count, far)] = value;
    }
    return 0;
}

// Of three layers the one that a row belongs to; the row becomes that layer's own.
__device__ __forceinline__ u64 place_of(const Product& of, const u64 at[3], u32& row) {
    if (row < of.outputs[0]) return at[0];
    row -= of.outputs[0];
    if (row < of.outputs[1]) return at[1];
    row -= of.outputs[1];
    return at[2];
}

template <typename T> __device__ __forceinline__ T none() { return 0; }
template <> __device__ __forceinline__ uint4 none<uint4>() { return make_uint4(0, 0, 0, 0); }

// A row goes to `split` neighbouring warps, whose sums are added in order. With PAIR, row i of the first
// matrix is the gate of row i of the second. Each thread has DEPTH loads under way, from before its input
// is there to its last row: a place is filled again as soon as it has been used. A load past the end of a
// row is zero, and meets any x: what is not finite there is in every row's sum.
template <u32 ELEMENT, bool WIDE, bool PAIR, u32 DEPTH>
__device__ __forceinline__ void product(const Product& of, const float* x, float* y) {
    typedef typename Load<ELEMENT, WIDE>::Raw Raw;
    const u32 COUNT = Load<ELEMENT, WIDE>::COUNT, STEP = COUNT == 8 ? 4 : COUNT;
    extern __shared__ float room[];  // of.inner values, and a sum for each warp and round
    __shared__ float squares_of[WARPS];
    let_next_begin();
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, part = warp % of.split;
    const u32 rows_here = WARPS / of.split, loads = of.inner / COUNT, far = of.inner / 2;
    const u32 total = PAIR ? of.outputs[0] : of.outputs[0] + of.outputs[1] + of.outputs[2];
    const u32 stride = 32 * of.split, each = (loads + stride - 1) / stride;
    const u32 start = blockIdx.x * rows_here, step = gridDim.x * rows_here;
    const u32 rounds = start < total ? (total - start + step - 1) / step : 0;
    const u32 mine = part * 32 + lane;
    // Whether a row's last load is there for this thread.
    const bool whole = mine + (each - 1) * stride < loads;
    float* parked = room + of.inner;
    Raw w[DEPTH], v[PAIR ? DEPTH : 1];
    u32 next_row = start + warp / of.split, left_in_row = 0;
    const Raw *at_w = 0, *at_v = 0;
    auto fetch = [&](Raw& w, Raw& v) {
        if (left_in_row == 0) {
            left_in_row = each;
            if (next_row < total) {
                u32 own = next_row;
                u64 weight = PAIR ? of.weight[0] : place_of(of, of.weight, own);
                at_w = (const Raw*)weight + (u64)own * loads + mine;
                if (PAIR) at_v = (const Raw*)of.weight[1] + (u64)own * loads + mine;
            }
            next_row += step;
        }
        left_in_row--;
        bool there = next_row - step < total && (left_in_row || whole);
        w = there ? __ldcs(at_w) : none<Raw>();
        at_w += stride;
        if (PAIR) {
            v = there ? __ldcs(at_v) : none<Raw>();
            at_v += stride;
        }
    };
    #pragma unroll
    for (u32 d = 0; d < DEPTH; d++) fetch(w[d], v[PAIR ? d : 0]);
    float4 factor = make_float4(0, 0, 0, 0);
    const bool late = scales_late(of);
    if (late && threadIdx.x < of.inner / 4) factor = four_at(of.norm, threadIdx.x, of.norm_element);
    // What the thread's first row is added to: asked for as early as it may be.
    const u32 first_row = start + threadIdx.x / rows_here * step + threadIdx.x % rows_here;
    const bool writes = threadIdx.x < rounds * rows_here && first_row < total;
    float bias_here = 0, bias_there = 0, before = 0;
    if (writes) {
        u32 own = first_row;
        u64 bias = PAIR ? of.bias[0] : place_of(of, of.bias, own);
        if (bias) bias_here = value_at(bias, own, of.bias_element);
        if (PAIR && of.bias[1]) bias_there = value_at(of.bias[1], own, of.bias_element);
    }
    wait_for_last();
    if (writes && of.add) before = __ldcg(y + first_row);
    float squares = bring_in(of, x, COUNT, room, factor);
    if (late) {
        squares = warp_sum(squares);
        if (lane == 0) squares_of[warp] = squares;
    }
    __syncthreads();
    u32 i = each, left = rounds;
    float sum = 0, second = 0;
    float* park = parked + warp;
    const float *first_x = room + mine * STEP, *at_x = first_x;
    while (left) {
        #pragma unroll
        for (u32 d = 0; d < DEPTH; d++) {
            if (!left) break;
            const float* here = --i || whole ? at_x : room;
            sum = times<ELEMENT>(w[d], here, far, sum);
            if (PAIR) second = times<ELEMENT>(v[PAIR ? d : 0], here, far, second);
            at_x += stride * STEP;
            fetch(w[d], v[PAIR ? d : 0]);
            if (i) continue;
            sum = warp_sum(sum);
            if (PAIR) second = warp_sum(second);
            if (lane == 0) {
                park[0] = sum;
                if (PAIR) park[rounds * WARPS] = second;
            }
            park += WARPS, at_x = first_x, i = each, sum = 0, second = 0, left--;
        }
    }
    __syncthreads();
    float scale = 1;
    if (late) {
        squares = 0;
        for (u32 n = 0; n < WARPS; n++) squares += squares_of[n];
        scale = 1.0f / sqrtf(squares / of.inner + of.epsilon);
    }
    for (u32 n = threadIdx.x; n < rounds * rows_here; n += WIDTH) {
        u32 place = n / rows_here, local = n % rows_here, row = start + place * step + local, own = row;
        if (row >= total) continue;
        const float* sums = parked + place * WARPS + local * of.split;
        sum = 0, second = 0;
        for (u32 p = 0; p < of.split; p++) {
            sum += sums[p];
            if (PAIR) second += sums[rounds * WARPS + p];
        }
        if (n != threadIdx.x) {
            u64 bias = PAIR ? of.bias[0] : place_of(of, of.bias, own);
            bias_here = bias ? value_at(bias, own, of.bias_element) : 0.0f;
            if (PAIR) bias_there = of.bias[1] ? value_at(of.bias[1], own, of.bias_element) : 0.0f;
            before = of.add ? __ldcg(y + row) : 0.0f;
        }
        sum = activated(sum * scale + bias_here, of.activation);
        if (PAIR) sum *= second * scale + bias_there;
        y[row] = before + sum;
    }
}

#define PRODUCT(NAME, ELEMENT, WIDE, PAIR, DEPTH)                                                     \
    extern "C" __global__ void __launch_bounds__(WIDTH, 2) NAME(Product of, const float* x, float* y) { \
        product<ELEMENT, WIDE, PAIR, DEPTH>(of, x, y);                                                \
    }

// One form for an element type, wide or not: whoever compiles this appends those that a model needs.
#define FORMS(ELEMENT, WIDE)                                          \
    PRODUCT(product_##ELEMENT##_##WIDE, ELEMENT, WIDE, false, 8)      \
    PRODUCT(gated_##ELEMENT##_##WIDE, ELEMENT, WIDE, true, 4)

#ifdef SHARED
// A weight stored as [in, out]: a block has 32 outputs, its warps share the rows.
extern "C" __global__ void __launch_bounds__(WIDTH) product_turned(
    Product of, const float* x, float* y
) {
    extern __shared__ float room[];
    __shared__ float sums[WARPS][32], squares_of[WARPS];
    let_next_begin();
    float4 factor = make_float4(0, 0, 0, 0);
    const bool late = scales_late(of);
    if (late && threadIdx.x < of.inner / 4) factor = four_at(of.norm, threadIdx.x, of.norm_element);
    wait_for_last();
    float squares = bring_in(of, x, 1, room, factor), scale = 1;
    if (late) {
        squares = warp_sum(squares);
        if (threadIdx.x % 32 == 0) squares_of[threadIdx.x / 32] = squares;
    }
    __syncthreads();
    if (late) {
        squares = 0;
        for (u32 n = 0; n < WARPS; n++) squares += squares_of[n];
        scale = 1.0f / sqrtf(squares / of.inner + of.epsilon);
    }
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, output = blockIdx.x * 32 + lane;
    float sum = 0;
    for (u32 i = warp; i < of.inner && output < of.outputs[0]; i += WARPS) {
        u64 at = (u64)i * of.outputs[0] + output;
        sum = fmaf(value_at(of.weight[0], at, of.weight_element), room[i], sum);
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp || output >= of.outputs[0]) return;
    sum = 0;
    for (u32 i = 0; i < WARPS; i++) sum += sums[i][lane];
    sum *= scale;
    if (of.bias[0]) sum += value_at(of.bias[0], output, of.bias_element);
    sum = activated(sum, of.activation);
    y[output] = of.add ? __ldcg(y + output) + sum : sum;
}

#endif

#ifdef GROUP
// ---- Attention of the new token over all before it.

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

// Cosine and sine for the elements of a vector that a lane has.
__device__ __forceinline__ void find_turns(float2 turns[EACH], const Mixing& of, u32 position) {
    const float2* all = (const float2*)of.turns + (u64)position * (SIZE / 2);
    #pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        u32 j = threadIdx.x % 32 + 32 * i;
        if (of.turns && j < SIZE) turns[i] = all[of.neighbours ? j / 2 : j % (SIZE / 2)];
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
    if (!of.turns) return;
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

// A block takes QUERIES heads that share a key head, and one part of the keys. The blocks of a cluster take parts of
// the same heads; the first one joins their sums, which it reads from their shared memory. Few keys go to one cluster.
// Many keys go to several, and the last cluster of its heads joins what all have, through device memory.
// Few queries a block are done sooner, many read the keys less often. partial: [block of heads][cluster][query][SIZE + 2].
template <u32 QUERIES> __device__ __forceinline__ void mix(
    const Mixing& of, const float* three, float* keys, float* values, const u32* position,
    float* partial, u32* done, float* mixed
) {
    // Keys that a warp loads and multiplies at once, and keys that a block must have before it pays to join clusters.
    const u32 AT_ONCE = QUERIES == 1 && EACH <= 4 ? 4 : 2, LEAST = CLUSTER == 1 ? 16 : QUERIES == 1 ? 128 : 32;
    __shared__ float queries[QUERIES][SIZE], own[SIZE], all[8][QUERIES][SIZE];
    __shared__ float most_of[8][QUERIES], total_of[8][QUERIES], scale_of[8][QUERIES];
    __shared__ float most_here[QUERIES], total_here[QUERIES];
    __shared__ float scales[QUERIES][MOST_PARTS];
    __shared__ bool last;
    let_next_begin();
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 head = blockIdx.x * QUERIES / GROUP, cluster = blockIdx.y / CLUSTER;
    u32 at = min(__ldcg(position), of.longest - 1);
    u32 begin = of.window && at + 1 > of.window ? at + 1 - of.window : 0, count = at + 1 - begin;
    u32 clusters = min((count + CLUSTER * LEAST - 1) / (CLUSTER * LEAST), of.splits / CLUSTER);
    if (cluster >= clusters) return;
    u32 share = (count + clusters * CLUSTER - 1) / (clusters * CLUSTER);
    u32 from = min(begin + blockIdx.y * share, at + 1), to = min(from + share, at + 1);
    const float* own_value = three + of.values_at + head * SIZE;
    // A warp takes every eighth key, some at once, so that their loads and sums are under way together.
    float k[AT_ONCE][EACH], v[AT_ONCE][EACH];
    auto fetch = [&](u32 key) {
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++) {
            #pragma unroll
            for (u32 i = 0; i < EACH; i++) {
                u32 j = lane + 32 * i, place = key + 8 * n;
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
    for (u32 g = warp; g < QUERIES; g += 8) {
        const float* query = three + (blockIdx.x * QUERIES + g) * SIZE;
        ready(query, of.query_norm, of.query_norm_element, of, turns, queries[g]);
        for (u32 i = lane; i < SIZE; i += 32) queries[g][i] *= of.scale * 1.44269504088896340736f;
    }
    if (from <= at && at < to && warp == 7) {
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
    for (u32 key = from + warp; key < to; key += 8 * AT_ONCE) {
        #pragma unroll
        for (u32 n = 0; n < AT_ONCE; n++) {
            if (key + 8 * n != at) continue;
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
                if (key + 8 * n < to) larger = fmaxf(larger, score[n]);
            }
            float old = larger == most[g] ? 1.0f : exp2f(most[g] - larger);
            #pragma unroll
            for (u32 n = 0; n < AT_ONCE; n++) {
                score[n] = key + 8 * n < to ? exp2f(score[n] - larger) : 0.0f;
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
        if (key + 8 * AT_ONCE < to) fetch(key + 8 * AT_ONCE);
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
    for (u32 g = warp; g < QUERIES; g += 8) {
        float largest = lane < 8 ? most_of[lane][g] : __int_as_float(0xff800000);
        float weights = lane < 8 ? total_of[lane][g] : 0.0f, scale = share_of(largest, weights);
        if (lane < 8) scale_of[lane][g] = scale;
        if (lane == 0) most_here[g] = largest, total_here[g] = weights;
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 256) {
        u32 g = n / SIZE, j = n % SIZE;
        float sum = 0;
        #pragma unroll
        for (u32 i = 0; i < 8; i++) sum = fmaf(all[i][g][j], scale_of[i][g], sum);
        queries[g][j] = sum;
    }
    meet();
    if (blockIdx.y % CLUSTER) {
        // Its memory must stay until the first block has read it.
        meet();
        return;
    }
    for (u32 g = warp; g < QUERIES; g += 8) {
        float largest = lane < CLUSTER ? value_of(lane, most_here[g]) : __int_as_float(0xff800000);
        float weights = lane < CLUSTER ? value_of(lane, total_here[g]) : 0.0f, scale = share_of(largest, weights);
        // Where there is no other cluster, the sum is the result.
        scales[g][lane] = clusters == 1 ? scale / weights : scale;
        if (lane == 0) most_of[0][g] = largest, total_of[0][g] = weights;
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 256) {
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
    for (u32 g = warp; g < QUERIES; g += 8) {
        const float* part = theirs + (lane * QUERIES + g) * (SIZE + 2);
        bool there = lane < clusters;
        float largest = there ? __ldcg(part + SIZE) : __int_as_float(0xff800000);
        float weights = there ? __ldcg(part + SIZE + 1) : 0.0f, scale = share_of(largest, weights);
        scales[g][lane] = scale / weights;
    }
    __syncthreads();
    for (u32 n = threadIdx.x; n < QUERIES * SIZE; n += 256) {
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
    extern "C" __global__ void CLUSTERED __launch_bounds__(256) NAME(                              \
        Mixing of, const float* three, float* keys, float* values, const u32* position,            \
        float* partial, u32* done, float* mixed                                                    \
    ) {                                                                                            \
        mix<QUERIES>(of, three, keys, values, position, partial, done, mixed);                     \
    }
MIX(mix_heads, 1)
MIX(mix_groups, TOGETHER)

#endif

#ifdef SHARED
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

#endif
