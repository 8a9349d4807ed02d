// y = x W^T + b on the tensor cores of capability 9.0, for BF16 weights and F32 x. x comes as the parts of
// `product_parts.cu`; every product of a part and a weight is exact in F32.
//
// A tile is 128 outputs by COLUMNS rows of x. The inner dimension is cut into slices of 64. One thread asks the
// copy engine for the tiles of W and of the parts, through two rings in shared memory. Two warpgroups of 64
// outputs each multiply.
//
// As long as there is a whole tile for each block, a block takes one after the other. The slices of those that are left
// are shared. The block that has the last slices of a shared tile adds what the others have, always in the same order
// (`shared.cu`).

struct Operands { TensorMap weights[3], parts; };

struct Product {
    u64 bias[3];
    u32 bias_element[3], outputs[3], first_tile[3];
    u32 layers, rows, inner, stride;
    u32 whole, shared;  // tiles that one block computes, and those behind them that blocks share
    u32 sharers;  // the first blocks
    u32 gated;  // the second layer is multiplied by the SiLU of the first one: y has the products
    u32 gate_second;  // of the rows of a tile of both, those of the gate come second
    u64 y_parts;  // where the parts of such products go, or null
    u64 scales;  // of the parts of x
};

#define TILE 128u
// Most tiles of W that a block asks for before earlier kernels have ended.
#define EARLY 4u
#define WEIGHT_BYTES (TILE * SLICE * 2u)

// What a block works on: some slices of a tile.
struct Place {
    u32 row, layer, column, output, from, to;
    bool shared;
    __device__ __forceinline__ Place(const Product& of, u32 tile, u32 columns) {
        u32 row_tiles = (of.rows + columns - 1) / columns;
        // Blocks that run at the same time share weights, which are then read from memory once.
        row = tile % row_tiles * columns, tile /= row_tiles;
        layer = 0, column = 0;
        while (!of.gated && layer + 1 < of.layers && tile >= of.first_tile[layer + 1]) column += of.outputs[layer++];
        output = (tile - of.first_tile[layer]) * (of.gated ? TILE / 2 : TILE);
        from = 0, to = slices(of), shared = false;
    }
    __device__ __forceinline__ static u32 slices(const Product& of) { return (of.inner + SLICE - 1) / SLICE; }
};

// The first slice of the shared tiles that a block computes.
__device__ __forceinline__ u32 first_shared(const Product& of, u32 block) {
    return of.shared ? of.shared * Place::slices(of) * min(block, of.sharers) / of.sharers : 0;
}

// A block's way from place to place: whole tiles, then its share of the others, which may lie in several tiles. It begins
// with the last of these tiles, of which it may have the first slices only.
struct Walk {
    u32 tile, at, end;
    __device__ __forceinline__ Walk(const Product& of) : tile(blockIdx.x) {
        at = first_shared(of, blockIdx.x), end = first_shared(of, blockIdx.x + 1);
    }
    __device__ __forceinline__ bool more(const Product& of) const { return tile < of.whole || at < end; }
    __device__ __forceinline__ Place next(const Product& of, u32 columns) {
        if (tile < of.whole) {
            Place place(of, tile, columns);
            tile += gridDim.x;
            return place;
        }
        u32 slices = Place::slices(of), last = (end - 1) / slices, from = max(at, last * slices);
        Place place(of, of.whole + last, columns);
        place.from = from - last * slices, place.to = end - last * slices, place.shared = true;
        end = from;
        return place;
    }
};

__device__ __forceinline__ float bias_of(const Product& of, u32 layer, u32 output) {
    if (!of.bias[layer] || output >= of.outputs[layer]) return 0;
    return value_at(of.bias[layer], output, of.bias_element[layer]);
}
