// The weights of several layers one behind the other in F32, and so their biases, zero where there is
// none: for a library that multiplies one weight, and no mixed types. A block row a layer.
extern "C" __global__ void join_layers(
    const __grid_constant__ Layers layers, u32 element, u32 inner, float* weights, float* biases
) {
    begin_behind();
    u32 layer = blockIdx.y, first = 0;
    for (u32 i = 0; i < layer; i++) first += layers.outputs[i];
    u64 count = (u64)layers.outputs[layer] * inner;
    u64 start = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * 4, step = (u64)gridDim.x * blockDim.x * 4;
    for (u64 at = start; at < count; at += step) {
        #pragma unroll
        for (u32 i = 0; i < 4; i++) {
            if (at + i >= count) break;
            weights[(u64)first * inner + at + i] = value_at(layers.weight[layer], at + i, element);
        }
    }
    u64 bias = layers.bias[layer];
    for (u64 at = start; at < layers.outputs[layer]; at += step) {
        for (u64 i = at; i < at + 4 && i < layers.outputs[layer]; i++) {
            float value = bias ? value_at(bias, i, layers.bias_element[layer]) : 0.0f;
            biases[first + i] = value;
        }
    }
}
