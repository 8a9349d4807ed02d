// What a kernel's source needs to be compiled for the host. One block runs at a time, with a host thread for each of its
// threads. The test replaces what has no meaning here: the room in shared memory, and barrier.cu.

#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __CUDA_ARCH__ 800
// F16 numbers are not tried.
#define asm(...) value = 0

struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct Index { unsigned x, y, z; };
thread_local Index threadIdx;
Index blockIdx, gridDim, blockDim;

using std::fmaf;
inline float __uint_as_float(unsigned bits) { float value; std::memcpy(&value, &bits, 4); return value; }
inline float __int_as_float(int bits) { return __uint_as_float(bits); }
template <class T> T __ldcs(const T* at) { return *at; }
template <class T> T __ldcg(const T* at) { return *at; }

// The barriers of the block that runs, and what its lanes show each other.
std::unique_ptr<std::barrier<>> block_barrier, warp_barriers[32];
float shown[1024];

inline void __syncthreads() { block_barrier->arrive_and_wait(); }
inline float __shfl_xor_sync(unsigned, float value, unsigned far) {
    auto& barrier = *warp_barriers[threadIdx.x / 32];
    shown[threadIdx.x] = value;
    barrier.arrive_and_wait();
    const float other = shown[threadIdx.x ^ far];
    barrier.arrive_and_wait();
    return other;
}

// Copies are done when they are asked for. Who asked meets the others at a barrier before they read.
inline unsigned shared_address(const void*) { return 0; }
inline void open_barrier(unsigned) {}
inline void expect_bytes(unsigned, unsigned) {}
inline void wait_for_bytes(unsigned) {}
inline void show_barrier() {}
inline unsigned long long read_once() { return 0; }
inline void bring(const void* to, const void* from, unsigned bytes, unsigned, unsigned long long) {
    std::memcpy((void*)to, from, bytes);
}

alignas(256) float shared_room[65536];

template <class Run> void run_block(unsigned block, unsigned threads, Run run) {
    blockIdx = {block, 0, 0}, blockDim = {threads, 1, 1};
    // Nobody may read what nobody has written.
    for (float& value : shared_room) value = NAN;
    block_barrier = std::make_unique<std::barrier<>>(threads);
    for (unsigned warp = 0; warp < threads / 32; warp++) warp_barriers[warp] = std::make_unique<std::barrier<>>(32);
    std::vector<std::thread> all;
    for (unsigned n = 0; n < threads; n++) all.emplace_back([=] { threadIdx = {n, 0, 0}, run(); });
    for (auto& thread : all) thread.join();
}
