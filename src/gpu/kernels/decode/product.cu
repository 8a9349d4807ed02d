// A product with a weight whose rows lie together. It is compiled for its shape, because a short product would spend
// more time on decisions than on multiplying. It is compiled with WEIGHTS and ALIGNED, how weights are loaded; PAIR,
// whether row i of the first matrix is the gate of row i of the second; INNER, the length of a row; ROWS, those of all
// matrices, or of one of a pair; NORM, the kind of the norm before it, with NORM_ELEMENT, NORM_BIASED and
// NORM_BIAS_ELEMENT; BIASED, BIAS_ELEMENT and ACTIVATION; WARPS, those of a block; SPLIT, the warps that share a row;
// BLOCKS, the blocks of the grid; DEPTH, the loads of a matrix that a thread has under way; and PARKED, the rounds behind the
// first one whose rows wait in shared memory.

// A row goes to SPLIT neighbouring warps, whose sums are added in order. A thread has loads under way from before its
// input is there to its last row: a place is filled again as soon as it has been used.
extern "C" __global__ void __launch_bounds__(WIDTH, 2) product(Product of, const float* x, float* y) {
    extern __shared__ __align__(16) float room[];  // INNER values; a sum for each warp and round; parked rows
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
#if PARKED
    __shared__ u64 barriers[PARKED * ROWS_HERE];
    #pragma unroll
    for (u32 n = 0; n < PARKED; n++) {
        const u32 row = own_row + (n + 1) * STEP;
        const Parked parked(room + INNER + SUMS, barriers, n * ROWS_HERE + warp / SPLIT);
        if (lane == 0 && warp % SPLIT == 0 && row < ROWS) parked.ask(of, row);
    }
#endif
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
    float *sums = room + INNER, *own_sum = sums + warp;
    const float* first_x = room + mine * BESIDE;
    #pragma unroll 1
    for (u32 row = own_row, round = 0; row < ROWS; row += STEP, round++) {
        float sum = 0, second = 0;
#if PARKED
        if (round && round <= PARKED) {
            const Parked parked(room + INNER + SUMS, barriers, (round - 1) * ROWS_HERE + warp / SPLIT);
            parked.wait();
            #pragma unroll
            for (u32 n = 0; n < DEPTH; n++) {
                if (!is_whole(n, mine)) continue;
                const u32 load = mine + n * STRIDE;
                const float* here = first_x + n * STRIDE * BESIDE;
                sum = times<WEIGHTS>(parked.at[load], here, INNER / 2, sum);
                if (PAIR) second = times<WEIGHTS>(parked.partner[load], here, INNER / 2, second);
            }
        } else
#endif
        #pragma unroll
        for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
            if (chunk == CHUNKS - 1) next.begin_row(of, row + (PARKED && !round ? PARKED + 1 : 1) * STEP, mine);
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
            own_sum[0] = sum;
            if (PAIR) own_sum[ROUNDS * WARPS] = second;
        }
        own_sum += WARPS;
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
        const float* parts = sums + place * WARPS + local * SPLIT;
        float sum = 0, second = 0;
        for (u32 p = 0; p < SPLIT; p++) {
            sum += parts[p];
            if (PAIR) second += parts[ROUNDS * WARPS + p];
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
