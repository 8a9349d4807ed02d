// A kernel may begin while the one before it still runs (programmatic dependent launch). It reads weights, which nobody
// changes, and waits before it touches what earlier kernels write or read. Each kernel waits, so one that has waited
// knows that all before it have ended.

// Before compute capability 9.0 kernels begin when the one before has ended, and there is nothing to do.
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ void wait_for_last() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// For a kernel that has nothing to do before its wait.
__device__ __forceinline__ void begin_behind() {
    let_next_begin();
    wait_for_last();
}
