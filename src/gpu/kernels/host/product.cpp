// Runs the first and the last block of `product` and compares their results with sums in F64. OUTPUTS are the rows of each layer.

static std::mt19937 generator(7);
static float drawn() { return (int)(generator() % 2001 - 1000) / 1000.0f; }

// Values that begin at a multiple of 16 bytes, as they are stored and as numbers.
struct Stored {
    std::vector<uint4> room;
    std::vector<double> numbers;

    Stored(size_t count, u32 element, float base) : room(count * 4 / 16 + 1), numbers(count) {
        for (size_t i = 0; i < count; i++) {
            unsigned bits;
            const float value = base + drawn();
            std::memcpy(&bits, &value, 4);
            if (element == BF16) ((u16*)room.data())[i] = bits >> 16, bits &= 0xffff0000u;
            else ((unsigned*)room.data())[i] = bits;
            numbers[i] = __uint_as_float(bits);
        }
    }
    u64 at() const { return (u64)room.data(); }
};

int main() {
    const std::vector<unsigned> outputs OUTPUTS;
    Product of{};
    std::vector<Stored> weights, biases;
    for (unsigned count : outputs) weights.emplace_back((size_t)count * INNER, WEIGHTS, 0.0f), biases.emplace_back(count, BIAS_ELEMENT, 0.0f);
    for (unsigned n = 0; n < outputs.size(); n++) {
        of.weight[n] = weights[n].at(), of.outputs[n] = outputs[n];
        if (BIASED) of.bias[n] = biases[n].at();
    }
    const Stored x(INNER, F32, 0.0f), norm(INNER, NORM_ELEMENT, 1.0f), before(ROWS, F32, 0.0f);
    of.norm = norm.at(), of.epsilon = 1e-6f, of.add = !PAIR;
    double squares = 0;
    for (double value : x.numbers) squares += value * value;
    const double scale = NORM ? 1 / std::sqrt(squares / INNER + 1e-6) : 1;
    // Row k of layer n, times x; and the sum of its absolute terms, which bounds what rounding may change.
    auto product_of = [&](unsigned n, unsigned k, double& size) {
        double sum = 0;
        for (size_t i = 0; i < INNER; i++) {
            const double term = weights[n].numbers[(size_t)k * INNER + i] * x.numbers[i] * (NORM ? norm.numbers[i] : 1) * scale;
            sum += term, size += std::fabs(term);
        }
        return sum + (BIASED ? biases[n].numbers[k] : 0);
    };
    gridDim = {BLOCKS, 1, 1};
    unsigned wrong = 0, seen = 0;
    for (unsigned block = 0; block < BLOCKS; block++) {
        if (block && block != BLOCKS - 1) continue;
        std::vector<float> y(ROWS);
        for (unsigned row = 0; row < ROWS; row++) y[row] = before.numbers[row];
        run_block(block, WIDTH, [&] { product(of, (const float*)x.at(), y.data()); });
        for (unsigned row = 0; row < ROWS; row++) {
            double size = 1, wanted = before.numbers[row];
            // Rows go round the blocks, so many at a time.
            if (row / ROWS_HERE % BLOCKS == block) {
                seen++;
                unsigned n = 0, k = row;
                while (!PAIR && k >= outputs[n]) k -= outputs[n++];
                const double sum = product_of(n, k, size);
                if (PAIR) wanted = sum / (1 + std::exp(-sum)) * product_of(1, k, size), size *= size;
                else wanted += sum;
            }
            if (!(std::fabs(y[row] - wanted) <= 1e-6 * size)) wrong++;
        }
    }
    std::printf("%u of %u rows wrong\n", wrong, seen);
    return wrong || !seen;
}
