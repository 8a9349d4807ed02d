// The parts of an encoder's forward pass that are no product and no attention. Activations are F32,
// row-major, a row a token. Blocks are of 256 threads at most.

// Up to three tables to look a row up in.
struct Tables {
    u64 indices[3];
    u64 table[3];
    u32 element[3];
    u32 count;
};

// One block a row: the sum of the rows that the indices name.
extern "C" __global__ void gather_rows(Tables tables, u32 width, float* out) {
    begin_behind();
    u64 row = blockIdx.x;
    for (u32 column = threadIdx.x; column < width; column += blockDim.x) {
        float sum = 0;
        for (u32 i = 0; i < tables.count; i++) {
            u64 at = ((const u32*)tables.indices[i])[row];
            sum += value_at(tables.table[i], at * width + column, tables.element[i]);
        }
        out[row * width + column] = sum;
    }
}

struct NormOf {
    u64 weight, bias;
    u32 weight_element, bias_element, rms, width;
    float epsilon;
};

// Values of a row that a thread of norm_rows holds in registers.
#define HELD 12

// One block of 128 threads a row: out = norm(x + residual); the sum is kept in x where that is wanted.
// Two passes over the row, so that the variance is that of the differences from the mean. What does
// not fit into registers waits in `out`, where its own thread finds it. A product may want the parts of the result, or
// these alone, without `values`: a
// warp takes 64 neighbours at a time, which share a scale. With eight blocks on a multiprocessor, 1,000 rows begin at once.
extern "C" __global__ void __launch_bounds__(128, 8) norm_rows(
    NormOf of, float* x, const float* residual, float* out, u32 keep, u32 values, u16* parts
) {
    u64 start = (u64)blockIdx.x * of.width;
    const u32 step = 256, own = threadIdx.x / 32 * 64 + threadIdx.x % 32;
    auto column = [&](u32 n) { return n / 2 * step + n % 2 * 32 + own; };
    float held[HELD], more[HELD], sum = 0;
    u32 weights[HELD], biases[HELD];
    let_next_begin();
    #pragma unroll
    for (u32 n = 0; n < HELD; n++) {
        u32 i = column(n);
        weights[n] = i < of.width ? stored_at(of.weight, i, of.weight_element) : 0;
        biases[n] = i < of.width && of.bias ? stored_at(of.bias, i, of.bias_element) : 0;
    }
    wait_for_last();
    // All loads before the first store, so that they do not wait for each other.
    #pragma unroll
    for (u32 n = 0; n < HELD; n++) {
        u32 i = column(n);
        bool there = i < of.width;
        held[n] = there ? x[start + i] : 0;
        more[n] = there && residual ? residual[start + i] : 0;
    }
    #pragma unroll
    for (u32 n = 0; n < HELD; n++) {
        u32 i = column(n);
        held[n] += more[n];
        if (keep && i < of.width) x[start + i] = held[n];
        sum += held[n];
    }
    #pragma unroll 1
    for (u32 n = HELD; column(n) < of.width; n++) {
        u32 i = column(n);
        float value = x[start + i];
        if (residual) value += residual[start + i];
        out[start + i] = value;
        if (keep) x[start + i] = value;
        sum += value;
    }
    float mean = of.rms ? 0.0f : block_sum(sum) / of.width, squares = 0;
    #pragma unroll
    for (u32 n = 0; n < HELD; n++) {
        float value = held[n] - mean;
        if (column(n) < of.width) squares += value * value;
    }
    #pragma unroll 1
    for (u32 n = HELD; column(n) < of.width; n++) {
        float value = out[start + column(n)] - mean;
        squares += value * value;
    }
    float scale = 1.0f / sqrtf(block_sum(squares) / of.width + of.epsilon);
    ProductParts product = {parts, gridDim.x, of.width};
    #pragma unroll
    for (u32 n = 0; n < HELD; n++) {
        u32 i = column(n);
        float value = (held[n] - mean) * scale * number(weights[n], of.weight_element);
        if (of.bias) value += number(biases[n], of.bias_element);
        held[n] = i < of.width ? value : 0;
        if (values && i < of.width) out[start + i] = value;
    }
    if (parts) {
        #pragma unroll
        for (u32 n = 0; n < HELD; n += 2)
            if (n / 2 * step < of.width) product.put_apart(blockIdx.x, column(n), held[n], held[n + 1]);
    }
    #pragma unroll 1
    for (u32 first = HELD / 2 * step; first < of.width; first += step) {
        float both[2] = {0, 0};
        for (u32 n = 0; n < 2; n++) {
            u32 i = first + own + n * 32;
            if (i >= of.width) continue;
            float value = (out[start + i] - mean) * scale * value_at(of.weight, i, of.weight_element);
            if (of.bias) value += value_at(of.bias, i, of.bias_element);
            out[start + i] = both[n] = value;
        }
        if (parts) product.put_apart(blockIdx.x, first + own, both[0], both[1]);
    }
}

// out[i][j] = f(both[i][gate + j]) * both[i][up + j]. A thread has four columns of every row that is a multiple of
// the grid's height away from its first. A product may want the parts of the result; then the width is a multiple of
// eight.
extern "C" __global__ void gated_product(
    const float* both, u32 rows, u32 width, u32 gate, u32 up, u32 activation, float* out, u16* parts
) {
    begin_behind();
    u32 column = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    bool four = width % 4 == 0 && gate % 4 == 0 && up % 4 == 0 && ((u64)both | (u64)out) % 16 == 0;
    ProductParts product = {parts, rows, width};
    for (u64 row = blockIdx.y; row < rows; row += gridDim.y) {
        const float* from = both + row * 2 * width + column;
        float* to = out + row * width + column;
        float4 g = make_float4(0, 0, 0, 0);
        if (four && column < width) {
            g = *(const float4*)(from + gate);
            float4 u = *(const float4*)(from + up);
            g.x = activated(g.x, activation) * u.x, g.y = activated(g.y, activation) * u.y;
            g.z = activated(g.z, activation) * u.z, g.w = activated(g.w, activation) * u.w;
            *(float4*)to = g;
        } else {
            float values[4] = {};
            for (u32 i = 0; i < 4 && column + i < width; i++)
                to[i] = values[i] = activated(from[gate + i], activation) * from[up + i];
            g = make_float4(values[0], values[1], values[2], values[3]);
        }
        if (parts) product.put_four((u32)row, column, g, true);
    }
}

extern "C" __global__ void add_values(float* x, const float* y, u64 count) {
    begin_behind();
    u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count) x[at] += y[at];
}

// Behind a product that another library made.
extern "C" __global__ void activate_values(float* x, u32 activation, u64 count) {
    begin_behind();
    u64 at = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (at + 4 <= count) {
        float4 four = *(float4*)(x + at);
        four.x = activated(four.x, activation), four.y = activated(four.y, activation);
        four.z = activated(four.z, activation), four.w = activated(four.w, activation);
        *(float4*)(x + at) = four;
        return;
    }
    for (; at < count; at++) x[at] = activated(x[at], activation);
}

// Stored elements as F32.
extern "C" __global__ void widen_values(u64 from, u32 element, u64 count, float* out) {
    begin_behind();
    u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count) out[at] = value_at(from, at, element);
}

// Turns a pair by an angle, given its cosine and sine.
__device__ __forceinline__ void turn_pair(float& a, float& b, float cosine, float sine) {
    const float first = a;
    a = first * cosine - b * sine;
    b = b * cosine + first * sine;
}

// Turns each pair (j, j + half) of each head, or each pair of neighbours, by its position's angle. A thread has `each`
// pairs of every row that is a multiple of the grid's height away from its first. Four pairs are read at once; they are
// no neighbours, and all addresses are multiples of 16.
extern "C" __global__ void rotate_heads(
    float* x, u32 column, u32 stride, u32 heads, u32 head_size, u32 tokens, u32 neighbours, u32 each, const float2* turns,
    u32 rows
) {
    begin_behind();
    u32 half = head_size / 2, at = (blockIdx.x * blockDim.x + threadIdx.x) * each, head = at / half, pair = at % half;
    if (head >= heads) return;
    u32 begin = column + head * head_size + (neighbours ? 2 * pair : pair), other = neighbours ? 1 : half;
    for (u32 row = blockIdx.y; row < rows; row += gridDim.y) {
        float* first = x + (u64)row * stride + begin;
        const float2* turn = turns + (u64)(row % tokens) * half + pair;
        if (each == 4) {
            float4 a = *(const float4*)first, b = *(const float4*)(first + half);
            const float4 left = ((const float4*)turn)[0], right = ((const float4*)turn)[1];
            turn_pair(a.x, b.x, left.x, left.y), turn_pair(a.y, b.y, left.z, left.w);
            turn_pair(a.z, b.z, right.x, right.y), turn_pair(a.w, b.w, right.z, right.w);
            *(float4*)first = a, *(float4*)(first + half) = b;
        } else {
            turn_pair(first[0], first[other], turn->x, turn->y);
        }
    }
}

enum Pool : u32 { MEAN = 0, FIRST = 1, LAST = 2 };

// 32 columns a block, a block row a sentence; eight threads share a column's tokens, and their sums
// are added in order.
extern "C" __global__ void __launch_bounds__(256) pool_tokens(
    u32 kind, const float* states, u32 tokens, u32 width, const u32* mask, float* out
) {
    __shared__ float sums[8][32];
    __shared__ u32 counts[8][32], lasts[8][32];
    begin_behind();
    u32 lane = threadIdx.x % 32, share = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
    u64 sentence = blockIdx.y;
    const u32* seen = mask + sentence * tokens;
    u32 each = (tokens + 7) / 8, first = share * each, end = min(tokens, first + each), count = 0, last = 0;
    float sum = 0;
    const float* state = states + sentence * tokens * width + column;
    for (u32 i = first; i < end && column < width; i++) {
        if (!seen[i]) continue;
        if (kind == MEAN) sum += state[(u64)i * width];
        last = i;
        count++;
    }
    sums[share][lane] = sum, lasts[share][lane] = last, counts[share][lane] = count;
    __syncthreads();
    if (share > 0 || column >= width) return;
    for (u32 s = 1; s < 8; s++) {
        sum += sums[s][lane];
        count += counts[s][lane];
        if (counts[s][lane]) last = lasts[s][lane];
    }
    // Without a token that counts, the last one is zero.
    float value = kind == MEAN ? sum / count : kind == FIRST ? state[0] : count ? state[(u64)last * width] : 0;
    out[sentence * width + column] = value;
}

// A block row a sentence, a thread a column.
extern "C" __global__ void splade_tokens(
    const float* logits, u32 tokens, u32 width, const u32* mask, float* out
) {
    begin_behind();
    u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    u64 sentence = blockIdx.y;
    const float* logit = logits + sentence * tokens * width + column;
    const u32* seen = mask + sentence * tokens;
    float most = 0;
    // A NaN is kept, whatever follows it.
    for (u32 i = 0; i < tokens; i++) {
        float value = logit[(u64)i * width];
        if (seen[i] && (value > most || value != value)) most = value;
    }
    out[sentence * width + column] = log1pf(most);
}

// One block a row.
extern "C" __global__ void normalize_rows(float* x, u32 width) {
    begin_behind();
    u64 start = (u64)blockIdx.x * width;
    float squares = 0;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        squares += x[start + i] * x[start + i];
    }
    float norm = sqrtf(block_sum(squares));
    if (norm < 1e-12f) norm = 1e-12f;  // fmaxf would drop a NaN
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) x[start + i] /= norm;
}

// Rows outside the mask become zero.
extern "C" __global__ void blank_rows(float* x, u32 width, const u32* mask, u64 count) {
    begin_behind();
    u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count && !mask[at / width]) x[at] = 0;
}

// A warp a head's vector: normalised in place. The heads lie side by side from a column on.
extern "C" __global__ void norm_heads(NormOf of, float* x, u32 column, u32 stride, u32 heads, u64 count) {
    begin_behind();
    u64 at = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (at >= count) return;
    u32 lane = threadIdx.x % 32;
    float* head = x + at / heads * stride + column + at % heads * of.width;
    float sum = 0, squares = 0;
    for (u32 i = lane; i < of.width; i += 32) sum += head[i];
    float mean = of.rms ? 0.0f : warp_sum(sum) / of.width;
    for (u32 i = lane; i < of.width; i += 32) squares += (head[i] - mean) * (head[i] - mean);
    float scale = 1.0f / sqrtf(warp_sum(squares) / of.width + of.epsilon);
    for (u32 i = lane; i < of.width; i += 32) {
        float value = (head[i] - mean) * scale * value_at(of.weight, i, of.weight_element);
        head[i] = of.bias ? value + value_at(of.bias, i, of.bias_element) : value;
    }
}

// Some columns of each of two matrices to one that has no others. A thread has one column of every row that is a multiple
// of the grid's height away from its first. The grid's third dimension is the matrices.
extern "C" __global__ void keep_columns(
    const float* first, const float* second, u32 stride, u32 columns, u32 rows, float* first_to, float* second_to
) {
    begin_behind();
    u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    const float* from = blockIdx.z ? second : first;
    float* to = blockIdx.z ? second_to : first_to;
    for (u32 row = blockIdx.y; row < rows && column < columns; row += gridDim.y)
        to[(u64)row * columns + column] = from[(u64)row * stride + column];
}

// A stored matrix with its sides exchanged, as F32: a tile of 32 by 32 a block of 256 threads.
extern "C" __global__ void turn_matrix(u64 from, u32 element, u32 rows, u32 columns, float* to) {
    begin_behind();
    __shared__ float tile[32][33];
    u32 column = blockIdx.x * 32 + threadIdx.x % 32, first = blockIdx.y * 32, down = threadIdx.x / 32;
    for (u32 i = down; i < 32 && column < columns; i += 8) {
        u32 row = first + i;
        if (row < rows) {
            tile[i][threadIdx.x % 32] = value_at(from, (u64)row * columns + column, element);
        }
    }
    __syncthreads();
    u32 row = first + threadIdx.x % 32;
    for (u32 i = down; i < 32 && row < rows; i += 8) {
        u32 turned = blockIdx.x * 32 + i;
        if (turned < columns) to[(u64)turned * rows + row] = tile[threadIdx.x % 32][i];
    }
}
