// Products with a weight whose rows lie together. Whoever compiles this appends a line FORMS for each form of weights.

// Weights that a load brings: 16 bytes, or one element where rows do not begin at such places.
template <u32 ELEMENT, bool WIDE> struct Load;
template <> struct Load<F32, true> { static const u32 COUNT = 4; typedef uint4 Raw; };
template <> struct Load<F16, true> { static const u32 COUNT = 8; typedef uint4 Raw; };
template <> struct Load<BF16, true> { static const u32 COUNT = 8; typedef uint4 Raw; };
template <> struct Load<F32, false> { static const u32 COUNT = 1; typedef u32 Raw; };
template <> struct Load<F16, false> { static const u32 COUNT = 1; typedef u16 Raw; };
template <> struct Load<BF16, false> { static const u32 COUNT = 1; typedef u16 Raw; };

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
