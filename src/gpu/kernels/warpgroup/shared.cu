// The sums of tiles that blocks share.

// Adds up what `count` blocks have of two outputs, in their order, and of two others if these are elsewhere. A block has
// two slots of `size` values; what the first block has may lie in its second one. All loads of some blocks come before
// the first sum, so that they do not wait for each other.
template <u32 AT_ONCE> __device__ __forceinline__ void add_up(
    const float* slots, u32 size, u32 second, u32 count, int elsewhere, float2& sum, float2& others
) {
    for (u32 from = 0; from < count; from += AT_ONCE) {
        float2 one[AT_ONCE], two[AT_ONCE];
        #pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) {
            u32 block = from + i;
            bool there = block < count;
            const float* slot = slots + (u64)(2 * block + (block == 0 ? second : 0)) * size;
            one[i] = there ? *(const float2*)slot : make_float2(0, 0);
            two[i] = there && elsewhere ? *(const float2*)(slot + elsewhere) : make_float2(0, 0);
        }
        #pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) {
            if (from + i >= count) break;
            sum.x += one[i].x, sum.y += one[i].y, others.x += two[i].x, others.y += two[i].y;
        }
    }
}

// Adds up what blocks have of the tiles that they share, in the order of the slices. The grid has a row for each
// such tile; a thread has two outputs of one row of x.
extern "C" __global__ void __launch_bounds__(256) add_shared(
    const __grid_constant__ Product of, const float* cut, float* y, u32 columns
) {
    begin_behind();
    const u32 tile = blockIdx.y, slices = Place::slices(of), outputs = of.gated ? TILE / 2 : TILE;
    const u32 at = blockIdx.x * 256 + threadIdx.x, down = at % (outputs / 2) * 2, across = at / (outputs / 2);
    Place place(of, of.whole + tile, columns);
    const u32 row = place.row + across, output = place.output + down;
    // A warp has one row of a gated tile, and needs all its threads for the scale.
    const bool there = across < columns && row < of.rows && output < of.outputs[place.layer];
    if (of.gated ? across >= columns || row >= of.rows : !there) return;
    // The blocks whose shares reach into the tile, from the first to the one before the last. Of the first one it may be
    // the second tile.
    u32 begin = tile * of.sharers / of.shared;
    if (first_shared(of, begin + 1) <= tile * slices) begin++;
    const u32 end = ((tile + 1) * of.sharers + of.shared - 1) / of.shared;
    const u32 second = first_shared(of, begin) < tile * slices;
    // Where the two outputs lie in a slot, or those of the gate; the others are eight places before or behind.
    const u32 within = across * TILE + (of.gated ? down / 8 * 16 + down % 8 + of.gate_second * 8 : down);
    const int other = !of.gated ? 0 : of.gate_second ? -8 : 8;
    float2 sum = make_float2(0, 0), up = sum;
    const u32 size = columns * TILE, count = end - begin;
    const float* first = cut + (u64)2 * begin * size + within;
    if (count <= 4) add_up<4>(first, size, second, count, other, sum, up);
    else add_up<12>(first, size, second, count, other, sum, up);
    sum.x += bias_of(of, place.layer, output), sum.y += bias_of(of, place.layer, output + 1);
    if (of.gated) {
        sum.x = activated(sum.x, SILU) * (up.x + bias_of(of, 1, output));
        sum.y = activated(sum.y, SILU) * (up.y + bias_of(of, 1, output + 1));
        if (!there) sum = make_float2(0, 0);
        const ProductParts product = {(u16*)of.y_parts, of.rows, of.outputs[0]};
        if (of.y_parts) product.put_two(row, output, sum.x, sum.y);
        if (!there) return;
    }
    float* to = y + (u64)row * of.stride + place.column + output;
    to[0] = sum.x;
    if (output + 1 < of.outputs[place.layer]) to[1] = sum.y;
}
