// y = f(x W^T + b) for few rows: weights are read in their stored type, and several layers over the
// same x go in one launch.
//
// A block makes a tile of ROWS rows by OUTPUTS outputs. The inner dimension is cut into slices, and
// each of its eight warps takes every eighth slice, waiting for no other warp. Copies bring the next
// part of a slice to shared memory while the lanes of a warp, 4 down and 8 across, multiply this one.
// In the end the warps' sums are added in order. So the order of a sum depends neither on chance nor
// on the tile.

#define WARPS 8u
#define SLICE 32u
#define STAGES 2u

struct Half { u16 bits; };
struct Brain { u16 bits; };
__device__ __forceinline__ float widened(Half stored) { return half_value(stored.bits); }
__device__ __forceinline__ float widened(Brain stored) { return brain_value(stored.bits); }
__device__ __forceinline__ float widened(float stored) { return stored; }

// Neighbours of a row that are read at once.
template <typename T> struct __align__(4 * sizeof(T)) Four { T of[4]; };

// Copies 16 bytes to shared memory, or zeros. The copy may end later.
__device__ __forceinline__ void copy_16(void* to, const void* from, bool there) {
#if __CUDA_ARCH__ >= 800
    u32 at = (u32)__cvta_generic_to_shared(to), bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
#else
    *(uint4*)to = there ? *(const uint4*)from : uint4{0, 0, 0, 0};
#endif
}

// Copies form groups. The second waits until all groups but the last LEFT have ended.
__device__ __forceinline__ void end_group() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <u32 LEFT> __device__ __forceinline__ void wait_for_groups() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

// A warp brings a part of COUNT rows of a matrix that is `inner` wide, from column `k` on, and zeros for
// what lies outside of it. `whole`: 16 bytes lie entirely inside or outside, and begin at a multiple.
template <typename T, u32 COUNT, u32 PART, u32 PITCH>
__device__ __forceinline__ void bring(T* to, const T* matrix, u32 first, u32 rows, u32 k, u32 inner, bool whole) {
    constexpr u32 EACH = 16 / sizeof(T), CHUNKS = PART / EACH;
    auto from = [&](u32 chunk) { return matrix + (u64)(first + chunk / CHUNKS) * inner + k + chunk % CHUNKS * EACH; };
    auto place = [&](u32 chunk) { return to + chunk / CHUNKS * PITCH + chunk % CHUNKS * EACH; };
    if (whole) {
        #pragma unroll
        for (u32 chunk = threadIdx.x % 32; chunk < COUNT * CHUNKS; chunk += 32) {
            bool there = first + chunk / CHUNKS < rows && k + chunk % CHUNKS * EACH < inner;
            copy_16(place(chunk), there ? from(chunk) : matrix, there);
        }
        return;
    }
    #pragma unroll 1
    for (u32 chunk = threadIdx.x % 32; chunk < COUNT * CHUNKS; chunk += 32) {
        #pragma unroll
        for (u32 i = 0; i < EACH; i++) {
            bool there = first + chunk / CHUNKS < rows && k + chunk % CHUNKS * EACH + i < inner;
            place(chunk)[i] = there ? from(chunk)[i] : T{};
        }
    }
}

template <typename T, u32 ROWS, u32 OUTPUTS, u32 PART> __device__ __forceinline__ void linear(
    const float* x, u32 rows, u32 inner, const Layers& layers, u32 activation, float* out, u32 stride
) {
    // 16 bytes more than a part, so that lanes that read different rows use different banks.
    constexpr u32 X_PITCH = PART + 4, W_PITCH = PART + 16 / sizeof(T);
    constexpr u32 X_BYTES = ROWS * X_PITCH * 4, STAGE_BYTES = X_BYTES + OUTPUTS * W_PITCH * sizeof(T);
    constexpr u32 HIGH = ROWS / 4, WIDE = OUTPUTS / 8, PARTS = SLICE / PART;
    extern __shared__ __align__(16) unsigned char room[];
    Place place = place_of(layers);
    u32 layer = place.layer, outputs = layers.outputs[layer];
    u32 first_output = (blockIdx.x - layers.first_tile[layer]) * OUTPUTS, first_row = blockIdx.y * ROWS;
    u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    // Neighbours in a square of 2 x 2 lanes read the same rows of x or of W, which makes their loads cheaper.
    u32 down = lane % 2 + lane / 16 * 2, across = lane / 2 % 8;
    const T* weight = (const T*)layers.weight[layer];
    bool whole = (u64)x % 16 == 0 && (u64)weight % 16 == 0 && inner % (16 / sizeof(T)) == 0 && inner % 4 == 0;
    u32 slices = (inner + SLICE - 1) / SLICE, mine = slices > warp ? (slices - warp + WARPS - 1) / WARPS * PARTS : 0;
    auto stage = [&](u32 n) { return room + (warp * STAGES + n % STAGES) * STAGE_BYTES; };
    auto column = [&](u32 n) { return (n / PARTS * WARPS + warp) * SLICE + n % PARTS * PART; };
    auto bring_w = [&](u32 n) {
        if (n >= mine) return;
        T* to = (T*)(stage(n) + X_BYTES);
        bring<T, OUTPUTS, PART, W_PITCH>(to, weight, first_output, outputs, column(n), inner, whole);
    };
    auto bring_x = [&](u32 n) {
        if (n >= mine) return;
        bring<float, ROWS, PART, X_PITCH>((float*)stage(n), x, first_row, rows, column(n), inner, whole);
    };
    let_next_begin();
    if (!layers.copied) bring_w(0);
    wait_for_last();
    if (layers.copied) bring_w(0);
    bring_x(0), end_group();
    float sums[HIGH][WIDE] = {};
    #pragma unroll 1
    for (u32 n = 0; n < mine; n++) {
        wait_for_groups<STAGES - 2>();
        // What the lanes brought is there for all, and nobody reads what is overwritten now.
        __syncwarp();
        bring_w(n + STAGES - 1), bring_x(n + STAGES - 1), end_group();
        const float* of_x = (const float*)stage(n) + down * X_PITCH;
        const T* of_w = (const T*)(stage(n) + X_BYTES) + across * W_PITCH;
        #pragma unroll 2
        for (u32 k = 0; k < PART; k += 4) {
            float4 a[HIGH];
            #pragma unroll
            for (u32 i = 0; i < HIGH; i++) a[i] = *(const float4*)(of_x + 4 * i * X_PITCH + k);
            #pragma unroll
            for (u32 j = 0; j < WIDE; j++) {
                Four<T> four = *(const Four<T>*)(of_w + 8 * j * W_PITCH + k);
                float b[4] = {widened(four.of[0]), widened(four.of[1]), widened(four.of[2]), widened(four.of[3])};
                #pragma unroll
                for (u32 i = 0; i < HIGH; i++) {
                    float sum = fmaf(a[i].y, b[1], fmaf(a[i].x, b[0], sums[i][j]));
                    sums[i][j] = fmaf(a[i].w, b[3], fmaf(a[i].z, b[2], sum));
                }
            }
        }
    }
    // All warps are done with the stages; the same memory takes their sums.
    wait_for_groups<0>();
    __syncthreads();
    float* shared = (float*)room;
    #pragma unroll
    for (u32 i = 0; i < HIGH; i++)
        #pragma unroll
        for (u32 j = 0; j < WIDE; j++)
            shared[(warp * ROWS + down + 4 * i) * OUTPUTS + across + 8 * j] = sums[i][j];
    __syncthreads();
    u64 bias = layers.bias[layer];
    for (u32 cell = threadIdx.x; cell < ROWS * OUTPUTS; cell += 32 * WARPS) {
        u32 row = first_row + cell / OUTPUTS, output = first_output + cell % OUTPUTS;
        if (row >= rows || output >= outputs) continue;
        float sum = 0;
        #pragma unroll
        for (u32 w = 0; w < WARPS; w++) sum += shared[w * (ROWS * OUTPUTS) + cell];
        if (bias) sum += value_at(bias, output, layers.bias_element[layer]);
        out[(u64)row * stride + place.column + output] = activated(sum, activation);
    }
}

#define LINEAR(NAME, TYPE, ROWS, OUTPUTS, PART)                                                                    \
    extern "C" __global__ void __launch_bounds__(32 * WARPS) NAME(                                                 \
        const float* x, u32 rows, u32 inner, const __grid_constant__ Layers layers, u32 activation, float* out,    \
        u32 stride                                                                                                 \
    ) {                                                                                                            \
        linear<TYPE, ROWS, OUTPUTS, PART>(x, rows, inner, layers, activation, out, stride);                        \
    }
