// The instructions of capability 9.0 for products: multiplication by a warpgroup, the copy engine, and the barriers of
// rings in shared memory.

// What the copy engine needs to know about a matrix.
struct __align__(128) TensorMap { u64 words[16]; };

#define TO_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define TO_32 TO_8 ", %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25," \
    " %26, %27, %28, %29, %30, %31"
#define TO_64 TO_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49," \
    " %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TO_128 TO_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81," \
    " %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102," \
    " %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120," \
    " %121, %122, %123, %124, %125, %126, %127"
#define SUMS_8(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), \
    "+f"(sums[i + 5]), "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define SUMS_32(i) SUMS_8(i), SUMS_8(i + 8), SUMS_8(i + 16), SUMS_8(i + 24)

#define SUMS_64(i) SUMS_32(i), SUMS_32(i + 32)
#define SUMS_128(i) SUMS_64(i), SUMS_64(i + 64)

// Adds the BF16 products of 64 by 16 and 16 by COLUMNS, both in shared memory; or sets the sums to them.
template <u32 COLUMNS>
__device__ void multiply(float (&sums)[COLUMNS / 2], u64 first, u64 second, u32 add);

#define MULTIPLY(COLUMNS, REGISTERS, OPERANDS, FIRST, SECOND, ADD)                                              \
    template <> __device__ __forceinline__ void multiply<COLUMNS>(                                              \
        float (&sums)[COLUMNS / 2], u64 first, u64 second, u32 add                                              \
    ) {                                                                                                         \
        asm volatile(                                                                                           \
            "{ .reg .pred add; setp.ne.b32 add, %" ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #COLUMNS        \
            "k16.f32.bf16.bf16 {" REGISTERS "}, %" FIRST ", %" SECOND ", add, 1, 1, 0, 0; }"                    \
            : OPERANDS : "l"(first), "l"(second), "r"(add));                                                    \
    }
MULTIPLY(16, TO_8, SUMS_8(0), "8", "9", "10")
MULTIPLY(64, TO_32, SUMS_32(0), "32", "33", "34")
MULTIPLY(128, TO_64, SUMS_64(0), "64", "65", "66")
MULTIPLY(256, TO_128, SUMS_128(0), "128", "129", "130")

// The same where the warps hold the first matrix in registers, as `mma` takes it: of BF16 numbers, or of FP16 ones.
template <u32 COLUMNS>
__device__ void multiply_held(float (&sums)[COLUMNS / 2], const u32* first, u64 second, u32 add);
template <u32 COLUMNS>
__device__ void multiply_halves(float (&sums)[COLUMNS / 2], const u32* first, u64 second, u32 add);

#define MULTIPLY_HELD(NAME, TYPE, COLUMNS, REGISTERS, OPERANDS, HELD, SECOND, ADD)                              \
    template <> __device__ __forceinline__ void NAME<COLUMNS>(                                                  \
        float (&sums)[COLUMNS / 2], const u32* first, u64 second, u32 add                                       \
    ) {                                                                                                         \
        asm volatile(                                                                                           \
            "{ .reg .pred add; setp.ne.b32 add, %" ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #COLUMNS        \
            "k16.f32." TYPE "." TYPE " {" REGISTERS "}, {" HELD "}, %" SECOND ", add, 1, 1, 0; }"               \
            : OPERANDS : "r"(first[0]), "r"(first[1]), "r"(first[2]), "r"(first[3]), "l"(second), "r"(add));    \
    }
MULTIPLY_HELD(multiply_held, "bf16", 64, TO_32, SUMS_32(0), "%32, %33, %34, %35", "36", "37")
MULTIPLY_HELD(multiply_held, "bf16", 128, TO_64, SUMS_64(0), "%64, %65, %66, %67", "68", "69")
MULTIPLY_HELD(multiply_halves, "f16", 16, TO_8, SUMS_8(0), "%8, %9, %10, %11", "12", "13")
MULTIPLY_HELD(multiply_halves, "f16", 64, TO_32, SUMS_32(0), "%32, %33, %34, %35", "36", "37")
MULTIPLY_HELD(multiply_halves, "f16", 128, TO_64, SUMS_64(0), "%64, %65, %66, %67", "68", "69")

__device__ __forceinline__ u32 in_shared(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

__device__ __forceinline__ void wait(u32 barrier, u32 phase) {
    asm volatile(
        "{ .reg .pred over; again: mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1; @over bra end;"
        " bra again; end: }" :: "r"(barrier), "r"(phase) : "memory");
}

// Tells a barrier how many bytes will arrive.
__device__ __forceinline__ void expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}

// Has the copy engine bring a box of a matrix.
__device__ __forceinline__ void bring(u32 to, const TensorMap* of, u32 column, u32 row, u32 barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
        :: "r"(to), "l"(of), "r"(column), "r"(row), "r"(barrier) : "memory");
}

// The same for pairs of matrices: of so many groups of eight rows, eight of the first matrix and then eight of the
// second one.
__device__ __forceinline__ void bring_pairs(u32 to, const TensorMap* of, u32 column, u32 group, u32 barrier) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %3, %4}], [%5];"
        :: "r"(to), "l"(of), "r"(column), "r"(0), "r"(group), "r"(barrier) : "memory");
}

// Has the copy engine bring bytes that follow each other; a multiple of 16, as both addresses are.
__device__ __forceinline__ void bring_bytes(u32 to, const void* from, u32 bytes, u32 barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :: "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// Keeps the compiler from moving anything that touches these registers across this place.
template <u32 COUNT> __device__ __forceinline__ void hold(float (&sums)[COUNT]) {
    #pragma unroll
    for (u32 i = 0; i < COUNT; i++) asm volatile("" : "+f"(sums[i]) :: "memory");
}
template <u32 COUNT> __device__ __forceinline__ void hold(u32 (&words)[COUNT]) {
    #pragma unroll
    for (u32 i = 0; i < COUNT; i++) asm volatile("" : "+r"(words[i]) :: "memory");
}

// Registers that products read or write must not be touched between these two.
__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void queue_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most so many queued groups of products are under way.
template <u32 LEFT> __device__ __forceinline__ void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(LEFT) : "memory");
}

// Products read registers until they are done, but the compiler takes these for free as soon as products are queued. So
// an instruction behind the wait has to name them: a store that never happens. `never` is zero, which the compiler does
// not know.
template <u32 COUNT> __device__ __forceinline__ void keep_until_here(const u32* held, u32 never) {
    #pragma unroll
    for (u32 i = 0; i < COUNT; i += 4)
        asm volatile(
            "{ .reg .pred never; setp.ne.b32 never, %4, 0; @never st.shared.v4.b32 [%4], {%0, %1, %2, %3}; }"
            :: "r"(held[i]), "r"(held[i + 1]), "r"(held[i + 2]), "r"(held[i + 3]), "r"(never) : "memory");
}

// A matrix in shared memory as tensor cores read it: rows of 128 bytes, swizzled, eight rows in 1024 bytes.
__device__ __forceinline__ u64 descriptor(u32 address) {
    return (u64)(address >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

// A tile's rows of 128 bytes, swizzled: where eight values of a row lie.
__device__ __forceinline__ u32 swizzled(u32 tile, u32 row, u32 eight) {
    return tile + row * 128 + ((eight ^ (row & 7)) << 4);
}

// A ring of slots: the barriers of full ones, then those of empty ones.
template <u32 SLOTS> struct Ring {
    u32 barriers, slot, phase;
    __device__ __forceinline__ Ring(u32 barriers) : barriers(barriers), slot(0), phase(0) {}
    __device__ __forceinline__ u32 full() const { return barriers + 8 * slot; }
    __device__ __forceinline__ u32 empty(u32 of) const { return barriers + 8 * (SLOTS + of); }
    __device__ __forceinline__ u32 empty() const { return empty(slot); }
    __device__ __forceinline__ void next() {
        if (++slot == SLOTS) slot = 0, phase ^= 1;
    }
    // The warps that read a slot each say that they have done with it.
    __device__ __forceinline__ void begin(u32 readers) const {
        for (u32 i = 0; i < SLOTS; i++) {
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(barriers + 8 * i));
            asm volatile(
                "mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barriers + 8 * (SLOTS + i)), "r"(readers));
        }
    }
};

__device__ __forceinline__ void release(u32 barrier, u32 lane) {
    if (lane == 0) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}

