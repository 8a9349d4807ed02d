// Rows of weights on their way to the threads that multiply them. product.cu says what it is compiled with.

// Weights that a load brings: 16 bytes, or one element where rows do not begin at such places.
template <u32 ELEMENT, bool WIDE> struct Load;
template <> struct Load<F32, true> { static const u32 COUNT = 4; typedef uint4 Raw; };
template <> struct Load<F16, true> { static const u32 COUNT = 8; typedef uint4 Raw; };
template <> struct Load<BF16, true> { static const u32 COUNT = 8; typedef uint4 Raw; };
template <> struct Load<F32, false> { static const u32 COUNT = 1; typedef u32 Raw; };
template <> struct Load<F16, false> { static const u32 COUNT = 1; typedef u16 Raw; };
template <> struct Load<BF16, false> { static const u32 COUNT = 1; typedef u16 Raw; };

template <u32 ELEMENT> __device__ __forceinline__ float times(uint4 w, const float* x, u32 far, float sum) {
    float4 a = *(const float4*)x;
    if (ELEMENT == F32) {
        sum = fmaf(__uint_as_float(w.x), a.x, sum), sum = fmaf(__uint_as_float(w.y), a.y, sum);
        sum = fmaf(__uint_as_float(w.z), a.z, sum), sum = fmaf(__uint_as_float(w.w), a.w, sum);
        return sum;
    }
    float4 b = *(const float4*)(x + far);
    float low, high;
    both_values<ELEMENT>(w.x, low, high), sum = fmaf(low, a.x, sum), sum = fmaf(high, a.y, sum);
    both_values<ELEMENT>(w.y, low, high), sum = fmaf(low, a.z, sum), sum = fmaf(high, a.w, sum);
    both_values<ELEMENT>(w.z, low, high), sum = fmaf(low, b.x, sum), sum = fmaf(high, b.y, sum);
    both_values<ELEMENT>(w.w, low, high), sum = fmaf(low, b.z, sum), sum = fmaf(high, b.w, sum);
    return sum;
}
template <u32 ELEMENT> __device__ __forceinline__ float times(u32 w, const float* x, u32, float sum) {
    return fmaf(__uint_as_float(w), *x, sum);
}
template <u32 ELEMENT> __device__ __forceinline__ float times(u16 w, const float* x, u32, float sum) {
    return fmaf(ELEMENT == BF16 ? brain_value(w) : half_value(w), *x, sum);
}

// Of three layers the one that a row belongs to; the row becomes that layer's own.
__device__ __forceinline__ u64 place_of(const Product& of, const u64 at[3], u32& row) {
    if (row < of.outputs[0]) return at[0];
    row -= of.outputs[0];
    if (row < of.outputs[1]) return at[1];
    row -= of.outputs[1];
    return at[2];
}

typedef Load<WEIGHTS, ALIGNED>::Raw Raw;
#define COUNT (Load<WEIGHTS, ALIGNED>::COUNT)
// Values of x that lie side by side for one load.
#define BESIDE (COUNT == 8 ? 4 : COUNT)
#define LOADS (INNER / COUNT)
#define STRIDE (32 * SPLIT)
// A thread's loads of a row: so many chunks of DEPTH.
#define CHUNKS ((LOADS + STRIDE * DEPTH - 1) / (STRIDE * DEPTH))
// Rows of a block in one round, and rows from one round to the next.
#define ROWS_HERE (WARPS / SPLIT)
#define STEP (BLOCKS * ROWS_HERE)
#define ROUNDS ((ROWS + STEP - 1) / STEP)
// Places for sums, up to where parked rows may begin.
#define SUMS ((INNER + ROUNDS * WARPS * (PAIR ? 2 : 1) + 3) / 4 * 4 - INNER)

// Whether load n of a thread lies in the row.
__device__ __forceinline__ bool is_whole(u32 n, u32 mine) {
    return (n + 1) * STRIDE <= LOADS || mine + n * STRIDE < LOADS;
}

// Where a thread reads: a chunk of its row, and of the row's partner.
struct Reading {
    const Raw *at, *partner;
    bool there;

    __device__ __forceinline__ void begin_row(const Product& of, u32 row, u32 mine) {
        there = row < ROWS;
        if (!there) return;
        u64 weight = PAIR ? of.weight[0] : place_of(of, of.weight, row);
        at = (const Raw*)weight + (u64)row * LOADS + mine;
        if (PAIR) partner = (const Raw*)of.weight[1] + (u64)row * LOADS + mine;
    }

    // Nobody uses what a row that is not there would have. It gets no value, because a register that may hold one of two
    // values is copied, and the copy waits for the load. Behind a row's end its last load is read again.
    __device__ __forceinline__ void fetch(u32 chunk, u32 d, u32 mine, Raw& w, Raw& v) const {
        const u32 n = chunk * DEPTH + d;
        const int place = is_whole(n, mine) ? (int)(n * STRIDE) : (int)LOADS - 1 - (int)mine;
        if (there && n * STRIDE < LOADS) {
            w = __ldcs(at + place);
            if (PAIR) v = __ldcs(partner + place);
        }
    }
};

#if PARKED
#define ROW_BYTES (LOADS * 16)

// A row and its partner on their way to shared memory. So more bytes are under way than registers can
// hold, and they need no instructions. The copies are not those of single threads: who waits for those waits for the
// weights in registers too.
struct Parked {
    const Raw *at, *partner;
    u32 landed;

    __device__ __forceinline__ Parked(float* rows, u64* barriers, u32 place) : landed(shared_address(barriers + place)) {
        at = (const Raw*)rows + place * LOADS * (PAIR ? 2 : 1), partner = at + LOADS;
    }

    // One thread asks for the row. The block meets at a barrier before anybody waits.
    __device__ __forceinline__ void ask(const Product& of, u32 row) const {
        Reading from;
        from.begin_row(of, row, 0);
        const u64 once = read_once();
        open_barrier(landed);
        show_barrier();
        expect_bytes(landed, ROW_BYTES * (PAIR ? 2 : 1));
        bring(at, from.at, ROW_BYTES, landed, once);
        if (PAIR) bring(partner, from.partner, ROW_BYTES, landed, once);
    }

    __device__ __forceinline__ void wait() const { wait_for_bytes(landed); }
};
#endif
