// y = f(x W^T + b) for few rows: weights are read once, in their stored type, and several layers over
// the same x go in one launch.
//
// A block makes a tile of 16 rows by 32 outputs. Each of its eight warps takes every eighth slice of
// the inner dimension and multiplies in registers, 4 by 4 a thread, waiting for no other warp; in
// the end the warps' sums are added in order. So the result does not depend on chance, and a short
// product keeps many multipliers busy.

struct Layers {
    u64 weight[3], bias[3];
    u32 bias_element[3], outputs[3], first_tile[3];
    u32 count;
};

#define ROWS 16
#define OUTPUTS 32
#define SLICE 16
#define WARPS 8
#define ROW_PITCH 20
#define OUTPUT_PITCH 36

struct Half { u16 bits; };
struct Brain { u16 bits; };
__device__ __forceinline__ float widened(Half stored) { return half_value(stored.bits); }
__device__ __forceinline__ float widened(Brain stored) { return brain_value(stored.bits); }
__device__ __forceinline__ float widened(float stored) { return stored; }

// Four elements of a row from `at` on, zero past the end: in one go where they lie so.
template <typename T>
__device__ __forceinline__ void fetch(float into[4], const T* row, u32 at, u32 end, bool there) {
    struct __align__(4 * sizeof(T)) Four { T of[4]; };
    if (there && at + 4 <= end && (u64)(row + at) % sizeof(Four) == 0) {
        Four four = *(const Four*)(row + at);
        #pragma unroll
        for (u32 i = 0; i < 4; i++) into[i] = widened(four.of[i]);
        return;
    }
    #pragma unroll
    for (u32 i = 0; i < 4; i++) into[i] = there && at + i < end ? widened(row[at + i]) : 0.0f;
}

// Which layer a column of blocks works on, and where its results begin in a row.
struct Place { u32 layer, column; };
__device__ __forceinline__ Place place_of(const Layers& layers) {
    Place place = {0, 0};
    while (place.layer + 1 < layers.count && blockIdx.x >= layers.first_tile[place.layer + 1]) {
        place.column += layers.outputs[place.layer];
        place.layer++;
    }
    return place;
}

// Stores four neighbours of a row into a column of a tile.
template <u32 PITCH> __device__ __forceinline__ void store(float* tile, const float from[4]) {
    #pragma unroll
    for (u32 i = 0; i < 4; i++) tile[i * PITCH] = from[i];
}

template <typename T> __device__ __forceinline__ void linear(
    const float* x, u32 rows, u32 inner, const Layers& layers, u32 activation, float* out, u32 stride
) {
    __shared__ __align__(16) float x_tiles[WARPS][SLICE][ROW_PITCH];
    __shared__ __align__(16) float w_tiles[WARPS][SLICE][OUTPUT_PITCH];
    Place place = place_of(layers);
    u32 layer = place.layer, column = place.column;
    u32 outputs = layers.outputs[layer];
    u32 first_output = (blockIdx.x - layers.first_tile[layer]) * OUTPUTS;
    u32 first_row = blockIdx.y * ROWS;
    u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    // A lane brings twice four elements of one row of x and of two rows of W.
    u32 brought = lane % 16, part = lane / 16 * 8;
    const float* x_row = x + (u64)(first_row + brought) * inner;
    const T* w_row = (const T*)layers.weight[layer] + (u64)(first_output + brought) * inner;
    const T* w_next = w_row + (u64)16 * inner;
    bool x_there = first_row + brought < rows, w_there = first_output + brought < outputs;
    bool next_there = first_output + brought + 16 < outputs;
    float* x_tile = &x_tiles[warp][0][0];
    float* w_tile = &w_tiles[warp][0][0];
    u32 top = lane / 8 * 4, left = lane % 8 * 4;
    float sums[4][4] = {}, from_x[8], from_w[8], from_next[8];
    auto bring = [&](u32 at) {
        #pragma unroll
        for (u32 i = 0; i < 8; i += 4) {
            fetch(from_x + i, x_row, at + part + i, inner, x_there);
            fetch(from_w + i, w_row, at + part + i, inner, w_there);
            fetch(from_next + i, w_next, at + part + i, inner, next_there);
        }
    };
    u32 at = warp * SLICE;
    bring(at);
    for (; at < inner; at += SLICE * WARPS) {
        __syncwarp();
        #pragma unroll
        for (u32 i = 0; i < 8; i += 4) {
            u32 k = part + i;
            store<ROW_PITCH>(x_tile + k * ROW_PITCH + brought, from_x + i);
            store<OUTPUT_PITCH>(w_tile + k * OUTPUT_PITCH + brought, from_w + i);
            store<OUTPUT_PITCH>(w_tile + k * OUTPUT_PITCH + brought + 16, from_next + i);
        }
        __syncwarp();
        if (at + SLICE * WARPS < inner) bring(at + SLICE * WARPS);
        #pragma unroll
        for (u32 k = 0; k < SLICE; k++) {
            float4 a = *(const float4*)(x_tile + k * ROW_PITCH + top);
            float4 b = *(const float4*)(w_tile + k * OUTPUT_PITCH + left);
            float of_x[4] = {a.x, a.y, a.z, a.w}, of_w[4] = {b.x, b.y, b.z, b.w};
            #pragma unroll
            for (u32 i = 0; i < 4; i++)
                #pragma unroll
                for (u32 j = 0; j < 4; j++) sums[i][j] = fmaf(of_x[i], of_w[j], sums[i][j]);
        }
    }
    // The tiles are done with; the same memory takes the warps' sums.
    __syncthreads();
    float* shared = &w_tiles[0][0][0];
    #pragma unroll
    for (u32 i = 0; i < 4; i++) {
        float4 four = {sums[i][0], sums[i][1], sums[i][2], sums[i][3]};
        *(float4*)(shared + warp * (ROWS * OUTPUTS) + (top + i) * OUTPUTS + left) = four;
    }
    __syncthreads();
    u64 bias = layers.bias[layer];
    for (u32 cell = threadIdx.x; cell < ROWS * OUTPUTS; cell += 32 * WARPS) {
        u32 row = first_row + cell / OUTPUTS, output = first_output + cell % OUTPUTS;
        if (row >= rows || output >= outputs) continue;
        float sum = 0;
        #pragma unroll
        for (u32 w = 0; w < WARPS; w++) sum += shared[w * (ROWS * OUTPUTS) + cell];
        if (bias) sum += value_at(bias, output, layers.bias_element[layer]);
        out[(u64)row * stride + column + output] = activated(sum, activation);
    }
}

#define LINEAR(NAME, TYPE)                                                                         \
    extern "C" __global__ void __launch_bounds__(32 * WARPS) NAME(                                 \
        const float* x, u32 rows, u32 inner, const __grid_constant__ Layers layers, u32 activation, float* out, u32 stride \
    ) {                                                                                            \
        begin_behind();                                                                            \
        linear<TYPE>(x, rows, inner, layers, activation, out, stride);                             \
    }

LINEAR(linear_f32, float)
LINEAR(linear_f16, Half)
LINEAR(linear_bf16, Brain)

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
