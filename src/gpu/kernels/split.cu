// Activations to the parts that products take, and products of BF16 parts to sums.

// The parts of rows that nobody has made yet (`product_parts.cu`). A thread has four columns; the width is a multiple of
// eight.
extern "C" __global__ void __launch_bounds__(256) part_rows(const float* x, u32 rows, u32 width, u16* parts) {
    begin_behind();
    u32 slices = (width + SLICE - 1) / SLICE;
    u32 at = blockIdx.x * 256 + threadIdx.x, row = at / (slices * (SLICE / 4));
    u32 column = at % (slices * (SLICE / 4)) * 4;
    bool there = row < rows;
    float4 four = make_float4(0, 0, 0, 0);
    if (there && column < width) four = *(const float4*)(x + (u64)row * width + column);
    ProductParts{parts, rows, width}.put_four(row, column, four, there);
}

// x as PARTS BF16 summands, the largest first: parts[PARTS][count]. The count is a multiple of four.
extern "C" __global__ void __launch_bounds__(256) split_values(const float* x, u64 count, u16* parts) {
    begin_behind();
    u64 at = ((u64)blockIdx.x * 256 + threadIdx.x) * 4;
    if (at >= count) return;
    float4 four = *(const float4*)(x + at);
    u32 left[PARTS], right[PARTS];
    split(four.x, four.y, left), split(four.z, four.w, right);
    #pragma unroll
    for (u32 part = 0; part < PARTS; part++) {
        *(uint2*)(parts + part * count + at) = make_uint2(left[part], right[part]);
    }
}

// Three parts' products added up, the smallest first, with bias and activation: from holds the sums of the largest
// parts' pieces, [pieces] of `step` values, then the two smaller parts' products, [2][rows][outputs]. To rows of
// `stride` columns.
extern "C" __global__ void __launch_bounds__(256) sum_parts(
    const float* from, u32 pieces, u64 step, u32 rows, u32 outputs, u64 bias, u32 bias_element, u32 activation,
    float* y, u32 stride
) {
    begin_behind();
    u64 at = (u64)blockIdx.x * 256 + threadIdx.x, count = (u64)rows * outputs;
    if (at >= count) return;
    u32 row = at / outputs, output = at % outputs;
    const float* smaller = from + pieces * step;
    float largest = from[at];
    for (u32 piece = 1; piece < pieces; piece++) largest += from[piece * step + at];
    float sum = smaller[count + at] + smaller[at] + largest;
    if (bias) sum += value_at(bias, output, bias_element);
    y[(u64)row * stride + output] = activated(sum, activation);
}
