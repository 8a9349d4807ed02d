// y = f(x W^T + b) for few rows: weights are read once, in their stored type, and several layers over
// the same x go in one launch.
//
// A block makes a tile of 32 rows by 32 outputs. Its threads stand in groups of 64; each group
// takes every GROUPS-th slice of the inner dimension and multiplies in registers, 4 by 4 a thread;
// in the end the groups' sums are added in order. So the result does not depend on chance, and a
// short product keeps many multipliers busy.

struct Layers {
    u64 weight[3], bias[3];
    u32 bias_element[3], outputs[3], first_tile[3];
    u32 count;
};

#define TILE 32
#define SLICE 16
#define PITCH 36

template <typename T> __device__ __forceinline__ float widened(T stored);
template <> __device__ __forceinline__ float widened<float>(float stored) { return stored; }

struct Half { u16 bits; };
struct Brain { u16 bits; };
template <> __device__ __forceinline__ float widened<Half>(Half stored) { return half_value(stored.bits); }
template <> __device__ __forceinline__ float widened<Brain>(Brain stored) { return brain_value(stored.bits); }

// Eight elements of a row from `at` on, zero past the end.
template <typename T>
__device__ __forceinline__ void fetch(float into[8], const T* row, u32 at, u32 end, bool there) {
    for (u32 i = 0; i < 8; i++) into[i] = there && at + i < end ? widened(row[at + i]) : 0.0f;
}

template <> __device__ __forceinline__ void fetch<float>(
    float into[8], const float* row, u32 at, u32 end, bool there
) {
    if (there && at + 8 <= end && ((u64)(row + at) & 15) == 0) {
        float4 a = *(const float4*)(row + at), b = *(const float4*)(row + at + 4);
        into[0] = a.x, into[1] = a.y, into[2] = a.z, into[3] = a.w;
        into[4] = b.x, into[5] = b.y, into[6] = b.z, into[7] = b.w;
        return;
    }
    for (u32 i = 0; i < 8; i++) into[i] = there && at + i < end ? row[at + i] : 0.0f;
}

template <typename T, u32 GROUPS> __device__ __forceinline__ void linear(
    const float* x, u32 rows, u32 inner, const Layers& layers, u32 activation, float* out, u32 stride
) {
    __shared__ float tiles[GROUPS][2][SLICE][PITCH];
    u32 layer = 0, column = 0;
    while (layer + 1 < layers.count && blockIdx.x >= layers.first_tile[layer + 1]) {
        column += layers.outputs[layer];
        layer++;
    }
    u32 outputs = layers.outputs[layer];
    u32 first_output = (blockIdx.x - layers.first_tile[layer]) * TILE, first_row = blockIdx.y * TILE;
    u32 group = threadIdx.x / 64, lane = threadIdx.x % 64;
    // Each thread brings eight elements of one row of x and of one row of W.
    u32 brought = lane / 2, part = lane % 2 * 8;
    const float* x_row = x + (u64)(first_row + brought) * inner;
    const T* w_row = (const T*)layers.weight[layer] + (u64)(first_output + brought) * inner;
    bool x_there = first_row + brought < rows, w_there = first_output + brought < outputs;
    float(*x_tile)[PITCH] = tiles[group][0];
    float(*w_tile)[PITCH] = tiles[group][1];
    u32 top = lane / 8 * 4, left = lane % 8 * 4;
    float sums[4][4] = {}, from_x[8], from_w[8];
    u32 at = group * SLICE;
    fetch(from_x, x_row, at + part, inner, x_there);
    fetch(from_w, w_row, at + part, inner, w_there);
    u32 slices = (inner + SLICE * GROUPS - 1) / (SLICE * GROUPS);
    for (u32 slice = 0; slice < slices; slice++) {
        __syncthreads();
        for (u32 i = 0; i < 8; i++) {
            x_tile[part + i][brought] = from_x[i];
            w_tile[part + i][brought] = from_w[i];
        }
        __syncthreads();
        at += SLICE * GROUPS;
        if (slice + 1 < slices) {
            fetch(from_x, x_row, at + part, inner, x_there);
            fetch(from_w, w_row, at + part, inner, w_there);
        }
        #pragma unroll
        for (u32 k = 0; k < SLICE; k++) {
            float4 a = *(const float4*)&x_tile[k][top], b = *(const float4*)&w_tile[k][left];
            float of_x[4] = {a.x, a.y, a.z, a.w}, of_w[4] = {b.x, b.y, b.z, b.w};
            #pragma unroll
            for (u32 i = 0; i < 4; i++)
                #pragma unroll
                for (u32 j = 0; j < 4; j++) sums[i][j] = fmaf(of_x[i], of_w[j], sums[i][j]);
        }
    }
    // The tiles are done with; the same memory takes the groups' sums.
    __syncthreads();
    float* shared = &tiles[0][0][0][0];
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++)
            shared[group * (TILE * TILE) + (top + i) * TILE + left + j] = sums[i][j];
    __syncthreads();
    u64 bias = layers.bias[layer];
    for (u32 place = threadIdx.x; place < TILE * TILE; place += 64 * GROUPS) {
        u32 row = first_row + place / TILE, output = first_output + place % TILE;
        if (row >= rows || output >= outputs) continue;
        float sum = 0;
        for (u32 g = 0; g < GROUPS; g++) sum += shared[g * (TILE * TILE) + place];
        if (bias) sum += value_at(bias, output, layers.bias_element[layer]);
        out[(u64)row * stride + column + output] = activated(sum, activation);
    }
}

#define LINEAR(NAME, TYPE, GROUPS)                                                                 \
    extern "C" __global__ void __launch_bounds__(64 * GROUPS) NAME(                                \
        const float* x, u32 rows, u32 inner, Layers layers, u32 activation, float* out, u32 stride \
    ) {                                                                                            \
        linear<TYPE, GROUPS>(x, rows, inner, layers, activation, out, stride);                     \
    }

LINEAR(linear_f32, float, 8)
LINEAR(linear_f16, Half, 8)
LINEAR(linear_bf16, Brain, 8)
