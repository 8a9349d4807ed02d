// The layers of one launch: all over the same x, with weights of one type.

struct Layers {
    u64 weight[3], bias[3];
    u32 bias_element[3], outputs[3], first_tile[3];
    u32 count;
    // Whether an earlier kernel of the stream writes the weights.
    u32 copied;
};

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
