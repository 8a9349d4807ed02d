// Products with a weight whose columns lie together, as GPT-2 stores them.

// A weight stored as [in, out]: a block has 32 outputs, its warps share the rows.
extern "C" __global__ void __launch_bounds__(WIDTH) product_turned(
    Product of, const float* x, float* y
) {
    extern __shared__ float room[];
    __shared__ float sums[WARPS][32], squares_of[WARPS];
    let_next_begin();
    uint4 factor = make_uint4(0, 0, 0, 0);
    const bool late = scales_late(of);
    if (late && threadIdx.x < of.inner / 4) factor = four_stored(of.norm, threadIdx.x, of.norm_element);
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
