// A product with a weight whose rows lie together. It is compiled for its shape, because a short product would spend
// more time on decisions than on multiplying. It is compiled with WEIGHTS and ALIGNED, how weights are loaded; PAIR,
// whether row i of the first matrix is the gate of row i of the second; INNER, the length of a row; ROWS, those of all
// matrices, or of one of a pair; NORM, the kind of the norm before it, with NORM_ELEMENT, NORM_BIASED and
// NORM_BIAS_ELEMENT; BIASED, BIAS_ELEMENT and ACTIVATION; SPLIT, the warps that share a row; BLOCKS, the blocks of the
// grid; and DEPTH, the loads of a matrix that a thread has under way.

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

typedef Load<WEIGHTS, ALIGNED>::Raw Raw;
#define COUNT (Load<WEIGHTS, ALIGNED>::COUNT)
// Values of x that lie side by side for one load.
#define BESIDE (COUNT == 8 ? 4 : COUNT)
#define LOADS (INNER / COUNT)
#define STRIDE (32 * SPLIT)
// A thread's loads of a row: so many chunks of DEPTH.
#define CHUNKS ((LOADS + STRIDE * DEPTH - 1) / (STRIDE * DEPTH))
// Rows of a block in one round, and rows from one round to the next.
#define ROWS_HERE (WARPS / SPLIT)
#define STEP (BLOCKS * ROWS_HERE)
#define ROUNDS ((ROWS + STEP - 1) / STEP)

// Whether load n of a thread lies in the row.
__device__ __forceinline__ bool is_whole(u32 n, u32 mine) {
    return (n + 1) * STRIDE <= LOADS || mine + n * STRIDE < LOADS;
}

// Where a thread reads: a chunk of its row, and of the row's partner.
struct Reading {
    const Raw *at, *partner;
    bool there;

    __device__ __forceinline__ void begin_row(const Product& of, u32 row, u32 mine) {
        there = row < ROWS;
        if (!there) return;
        u64 weight = PAIR ? of.weight[0] : place_of(of, of.weight, row);
        at = (const Raw*)weight + (u64)row * LOADS + mine;
        if (PAIR) partner = (const Raw*)of.weight[1] + (u64)row * LOADS + mine;
    }

    // Nobody uses what a row that is not there would have. It gets no value, because a register that may hold one of two
    // values is copied, and the copy waits for the load. Behind a row's end its last load is read again.
    __device__ __forceinline__ void fetch(u32 chunk, u32 d, u32 mine, Raw& w, Raw& v) const {
        const u32 n = chunk * DEPTH + d;
        const int place = is_whole(n, mine) ? (int)(n * STRIDE) : (int)LOADS - 1 - (int)mine;
        if (there && n * STRIDE < LOADS) {
            w = __ldcs(at + place);
            if (PAIR) v = __ldcs(partner + place);
        }
    }
};

// A row goes to SPLIT neighbouring warps, whose sums are added in order. A thread has loads under way from before its
// input is there to its last row: a place is filled again as soon as it has been used.
extern "C" __global__ void __launch_bounds__(WIDTH, 2) product(Product of, const float* x, float* y) {
    extern __shared__ float room[];  // INNER values, and a sum for each warp and round
    __shared__ float squares_of[WARPS];
    // What is known of the product makes most of its branches disappear.
    of.inner = INNER, of.norm_kind = NORM, of.norm_element = NORM_ELEMENT, of.norm_bias_element = NORM_BIAS_ELEMENT;
    of.bias_element = BIAS_ELEMENT, of.activation = ACTIVATION;
    if (!NORM_BIASED) of.norm_bias = 0;
    if (!BIASED) of.bias[0] = of.bias[1] = of.bias[2] = 0;
    let_next_begin();
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, mine = warp % SPLIT * 32 + lane;
    const u32 start = blockIdx.x * ROWS_HERE, own_row = start + warp / SPLIT;
    Raw w[DEPTH], v[PAIR ? DEPTH : 1];
    Reading next;
    next.begin_row(of, own_row, mine);
    #pragma unroll
    for (u32 d = 0; d < DEPTH; d++) next.fetch(0, d, mine, w[d], v[PAIR ? d : 0]);
    // What is asked for here becomes numbers behind the wait, so that no load waits for another.
    uint4 factor;
    const bool late = scales_late(of);
    if (late && threadIdx.x < INNER / 4) factor = four_stored(of.norm, threadIdx.x, of.norm_element);
    // What the thread's first row is added to: asked for as early as it may be.
    const u32 first_row = start + threadIdx.x / ROWS_HERE * STEP + threadIdx.x % ROWS_HERE;
    const bool writes = threadIdx.x < ROUNDS * ROWS_HERE && first_row < ROWS;
    u32 bias_here = 0, bias_there = 0;
    float before = 0;
    if (writes) {
        u32 own = first_row;
        u64 bias = PAIR ? of.bias[0] : place_of(of, of.bias, own);
        if (bias) bias_here = stored_at(bias, own, of.bias_element);
        if (PAIR && of.bias[1]) bias_there = stored_at(of.bias[1], own, of.bias_element);
    }
    wait_for_last();
    if (writes && of.add) before = __ldcg(y + first_row);
    float squares = bring_in(of, x, COUNT, room, factor);
    if (late) {
        squares = warp_sum(squares);
        if (lane == 0) squares_of[warp] = squares;
    }
    __syncthreads();
    float *parked = room + INNER, *park = parked + warp;
    const float* first_x = room + mine * BESIDE;
    #pragma unroll 1
    for (u32 row = own_row; row < ROWS; row += STEP) {
        float sum = 0, second = 0;
        #pragma unroll
        for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
            if (chunk == CHUNKS - 1) next.begin_row(of, row + STEP, mine);
            #pragma unroll
            for (u32 d = 0; d < DEPTH; d++) {
                const u32 n = chunk * DEPTH + d;
                if (n * STRIDE < LOADS && is_whole(n, mine)) {
                    const float* here = first_x + n * STRIDE * BESIDE;
                    sum = times<WEIGHTS>(w[d], here, INNER / 2, sum);
                    if (PAIR) second = times<WEIGHTS>(v[PAIR ? d : 0], here, INNER / 2, second);
                }
                next.fetch(chunk == CHUNKS - 1 ? 0 : chunk + 1, d, mine, w[d], v[PAIR ? d : 0]);
            }
        }
        sum = warp_sum(sum);
        if (PAIR) second = warp_sum(second);
        if (lane == 0) {
            park[0] = sum;
            if (PAIR) park[ROUNDS * WARPS] = second;
        }
        park += WARPS;
    }
    __syncthreads();
    float scale = 1;
    if (late) {
        squares = 0;
        for (u32 n = 0; n < WARPS; n++) squares += squares_of[n];
        scale = 1.0f / sqrtf(squares / INNER + of.epsilon);
    }
    for (u32 n = threadIdx.x; n < ROUNDS * ROWS_HERE; n += WIDTH) {
        u32 place = n / ROWS_HERE, local = n % ROWS_HERE, row = start + place * STEP + local, own = row;
        if (row >= ROWS) continue;
        const float* sums = parked + place * WARPS + local * SPLIT;
        float sum = 0, second = 0;
        for (u32 p = 0; p < SPLIT; p++) {
            sum += sums[p];
            if (PAIR) second += sums[ROUNDS * WARPS + p];
        }
        if (n != threadIdx.x) {
            u64 bias = PAIR ? of.bias[0] : place_of(of, of.bias, own);
            bias_here = bias ? stored_at(bias, own, of.bias_element) : 0;
            if (PAIR) bias_there = of.bias[1] ? stored_at(of.bias[1], own, of.bias_element) : 0;
            before = of.add ? __ldcg(y + row) : 0.0f;
        }
        sum = activated(sum * scale + number(bias_here, of.bias_element), of.activation);
        if (PAIR) sum *= second * scale + number(bias_there, of.bias_element);
        y[row] = before + sum;
    }
}
