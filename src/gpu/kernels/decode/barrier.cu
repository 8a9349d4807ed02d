// A barrier in shared memory that waits for bytes: of the copy engine, or of other blocks of the cluster. It serves once.

__device__ __forceinline__ u32 shared_address(const void* at) { return (u32)__cvta_generic_to_shared(at); }

// One thread opens the barrier at `barrier`, an address in shared memory, and says what it waits for. Whoever waits must
// have met this thread at a barrier of the block before.
__device__ __forceinline__ void open_barrier(u32 barrier) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void expect_bytes(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ __forceinline__ void wait_for_bytes(u32 barrier) {
    u32 done;
    do asm volatile(
        "{\n\t.reg .pred p;\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0;\n\tselp.u32 %0, 1, 0, p;\n\t}"
        : "=r"(done) : "r"(barrier) : "memory"
    );
    while (!done);
}

// For the copy engine, which must see that the barrier is open; and how it treats what nobody reads a second time.
__device__ __forceinline__ void show_barrier() { asm volatile("fence.proxy.async;" ::: "memory"); }

__device__ __forceinline__ u64 read_once() {
    u64 once;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(once));
    return once;
}

// One thread has the copy engine bring bytes: a multiple of 16, from and to multiples of 16.
__device__ __forceinline__ void bring(const void* to, const void* from, u32 bytes, u32 barrier, u64 once) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;"
        ::"r"(shared_address(to)), "l"(from), "r"(bytes), "r"(barrier), "l"(once) : "memory"
    );
}
