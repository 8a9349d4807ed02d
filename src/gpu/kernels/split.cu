// F32 by tensor cores that multiply BF16: a value of 24 bits is the sum of three of 8, each product with a
// BF16 weight is exact in F32, and so is every bit of x in the result.

// The nearest BF16, ties to even; what is not a number stays so.
__device__ __forceinline__ u16 nearest_brain(float value) {
    u32 bits = __float_as_uint(value);
    if (value != value) return 0x7fff;
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

// x as PARTS summands, the largest first: parts[PARTS][count]. One summand is x rounded. The count is a multiple of
// four.
extern "C" __global__ void __launch_bounds__(256) split_values(const float* x, u64 count, u16* parts) {
    u64 at = ((u64)blockIdx.x * 256 + threadIdx.x) * 4;
    if (at >= count) return;
    float4 four = *(const float4*)(x + at);
    float left[4] = {four.x, four.y, four.z, four.w};
    #pragma unroll
    for (u32 part = 0; part < PARTS; part++) {
        u16 brain[4];
        #pragma unroll
        for (u32 i = 0; i < 4; i++) {
            brain[i] = nearest_brain(left[i]);
            left[i] -= brain_value(brain[i]);
        }
        *(uint2*)(parts + part * count + at) =
            make_uint2(brain[0] | (u32)brain[1] << 16, brain[2] | (u32)brain[3] << 16);
    }
}

// Three parts' products added up, the smallest first, with bias and activation: from holds the sums of the largest
// parts' pieces, [pieces] of `step` values, then the two smaller parts' products, [2][rows][outputs]. To rows of
// `stride` columns.
extern "C" __global__ void __launch_bounds__(256) sum_parts(
    const float* from, u32 pieces, u64 step, u32 rows, u32 outputs, u64 bias, u32 bias_element, u32 activation,
    float* y, u32 stride
) {
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
