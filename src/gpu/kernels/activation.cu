// What is done to single values between products.

enum Activation : u32 { NONE = 0, GELU = 1, GELU_TANH = 2, SILU = 3, RELU = 4 };

__device__ __forceinline__ float activated(float x, u32 activation) {
    switch (activation) {
        case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));
        case GELU_TANH: {
            float inner = 0.79788456080286535588f * (x + 0.044715f * x * x * x);
            return 0.5f * x * (1.0f + tanhf(inner));
        }
        case SILU: return x / (1.0f + expf(-x));
        case RELU: return x < 0.0f ? 0.0f : x;  // fmaxf would drop a NaN
        default: return x;
    }
}
