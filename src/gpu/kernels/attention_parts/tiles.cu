// Heads as attention on tensor cores reads them: BF16 parts of 64 rows, in matrices with rows of 128 bytes whose pieces
// of 16 bytes are swizzled. Keys and values are split once for all blocks that read them.
//
// A tile is 64 keys or values of one head: PARTS matrices, the largest parts first. What is not there is zero, so that
// attention needs to know of no borders.

// Bytes of one part of 64 rows of a head, and of all.
template <u32 SIZE> constexpr u32 PART_BYTES = 64 * SIZE * 2;
template <u32 SIZE> constexpr u32 TILE_BYTES = PARTS * PART_BYTES<SIZE>;

// Where a piece of 16 bytes lies in a matrix with rows of 128 bytes.
__device__ __forceinline__ u32 swizzled(u32 row, u32 piece) { return row * 128 + (piece ^ row % 8) * 16; }

// The same for 64 rows of a head, queries or keys: the matrix of the first 64 columns, then that of the others.
__device__ __forceinline__ u32 place_of_row(u32 row, u32 piece) { return piece / 8 * 8192 + swizzled(row, piece % 8); }

// Whether rows can be read 16 bytes at a time.
__device__ __forceinline__ bool has_fours(const float* from, u32 stride) {
    return stride % 4 == 0 && (u64)from % 16 == 0;
}

// Eight neighbouring values of a row, of which `count` are there.
__device__ __forceinline__ void fetch_eight(float (&into)[8], const float* from, int count, bool fours) {
    if (fours && count >= 8) {
        float4 first = ((const float4*)from)[0], second = ((const float4*)from)[1];
        into[0] = first.x, into[1] = first.y, into[2] = first.z, into[3] = first.w;
        into[4] = second.x, into[5] = second.y, into[6] = second.z, into[7] = second.w;
    } else {
        #pragma unroll
        for (int i = 0; i < 8; i++) into[i] = i < count ? from[i] : 0.0f;
    }
}

// Stores eight values as parts, 16 bytes of each.
template <u32 SIZE> __device__ __forceinline__ void put_eight(
    unsigned char* to, const float (&values)[8], float factor
) {
    u32 pairs[4][PARTS];
    #pragma unroll
    for (u32 i = 0; i < 4; i++) split(values[2 * i] * factor, values[2 * i + 1] * factor, pairs[i]);
    #pragma unroll
    for (u32 part = 0; part < PARTS; part++)
        *(uint4*)(to + part * PART_BYTES<SIZE>) =
            make_uint4(pairs[0][part], pairs[1][part], pairs[2][part], pairs[3][part]);
}

// Where the tiles of a key head of a sentence begin: its first tile of keys, then that of values, and so on.
template <u32 SIZE> __device__ __forceinline__ u64 tiles_of(const Heads& of, u64 sentence, u32 key_head) {
    return (sentence * of.key_heads + key_head) * ((of.tokens + KEYS - 1) / KEYS) * 2 * TILE_BYTES<SIZE>;
}

// Eight values a thread, 64 * SIZE / 8 threads a tile. Of keys, a thread takes eight neighbours of a row. Values are
// turned, [SIZE][64], because tensor cores read along the terms of a sum; a thread takes a column of eight rows. The
// grid's second dimension is the heads of keys and then those of values, its third one the sentences.
template <u32 SIZE> __device__ __forceinline__ void split_tiles(
    const Heads& of, const float* keys, const float* values, unsigned char* tiles
) {
    u32 at = blockIdx.x * blockDim.x + threadIdx.x, tile = at / (8 * SIZE), place = at % (8 * SIZE);
    bool of_values = blockIdx.y >= of.key_heads;
    u32 head = of_values ? blockIdx.y - of.key_heads : blockIdx.y;
    u64 sentence = (u64)blockIdx.z * of.tokens;
    float eight[8] = {};
    if (tile * KEYS >= of.tokens) return;
    u32 where;
    if (of_values) {
        u32 column = place % SIZE, piece = place / SIZE, row = tile * KEYS + piece * 8;
        const float* from = values + (sentence + row) * of.value_stride + head * of.head_size + column;
        #pragma unroll
        for (u32 i = 0; i < 8; i++)
            if (row + i < of.tokens && column < of.head_size) eight[i] = from[(u64)i * of.value_stride];
        where = swizzled(column, piece);
    } else {
        u32 inner = place / (SIZE / 8), piece = place % (SIZE / 8), row = tile * KEYS + inner;
        const float* from = keys + (sentence + row) * of.key_stride + head * of.head_size;
        int count = row < of.tokens ? (int)of.head_size - (int)piece * 8 : 0;
        fetch_eight(eight, from + piece * 8, count, has_fours(from, of.key_stride));
        where = place_of_row(inner, piece);
    }
    u64 begin = tiles_of<SIZE>(of, blockIdx.z, head) + (tile * 2ull + of_values) * TILE_BYTES<SIZE>;
    put_eight<SIZE>(tiles + begin + where, eight, 1);
}

// Whoever compiles this appends the sizes that are wanted.
#define SPLIT_TILES(SIZE)                                                                \
    extern "C" __global__ void __launch_bounds__(256) split_tiles_##SIZE(                \
        Heads of, const float* keys, const float* values, unsigned char* tiles           \
    ) {                                                                                  \
        begin_behind();                                                                  \
        split_tiles<SIZE>(of, keys, values, tiles);                                      \
    }
