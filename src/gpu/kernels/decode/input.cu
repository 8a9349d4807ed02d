// Products of a decoder, y = f(W norm(x) + b): their description, and x on its way to shared memory.

struct Product {
    u64 weight[3], bias[3];  // up to three layers, their outputs side by side
    u32 outputs[3];
    u32 bias_element, inner;
    u32 norm_element, norm_bias_element, norm_kind;  // kind: 0 none, 1 mean and variance, 2 mean square
    u64 norm, norm_bias;
    float epsilon;
    u32 activation, add, weight_element;
};

// Warps of a block that multiplies, and its threads.
#ifndef WARPS
#define WARPS 16
#endif
#define WIDTH (32 * WARPS)

template <u32 ELEMENT> __device__ __forceinline__ void both_values(u32 two, float& low, float& high) {
    if (ELEMENT == BF16) {
        low = __uint_as_float(two << 16), high = __uint_as_float(two & 0xffff0000u);
    } else {
        low = half_value((u16)two), high = half_value((u16)(two >> 16));
    }
}

// Four values of a vector as they are stored, in one go where they lie so; and as numbers.
__device__ __forceinline__ uint4 four_stored(u64 start, u32 four, u32 element) {
    if (element == F32) {
        if (start % 16 == 0) return ((const uint4*)start)[four];
    } else if (start % 8 == 0) {
        uint2 raw = ((const uint2*)start)[four];
        return make_uint4(raw.x, raw.y, 0, 0);
    }
    u64 at = (u64)four * 4;
    return make_uint4(
        stored_at(start, at, element), stored_at(start, at + 1, element),
        stored_at(start, at + 2, element), stored_at(start, at + 3, element)
    );
}

__device__ __forceinline__ float4 four_numbers(uint4 stored, u64 start, u32 element) {
    float4 value;
    if (element == BF16 && start % 8 == 0) {
        both_values<BF16>(stored.x, value.x, value.y), both_values<BF16>(stored.y, value.z, value.w);
    } else if (element == F16 && start % 8 == 0) {
        both_values<F16>(stored.x, value.x, value.y), both_values<F16>(stored.y, value.z, value.w);
    } else {
        value.x = number(stored.x, element), value.y = number(stored.y, element);
        value.z = number(stored.z, element), value.w = number(stored.w, element);
    }
    return value;
}

// Where element i of x lies in shared memory. Of eight values that a load of halves meets the first four
// lie in the first half of the room and the others in the second, so that neighbouring threads read
// neighbouring places.
__device__ __forceinline__ u32 place_in(u32 i, u32 count, u32 far) {
    return count == 8 ? i / 8 * 4 + i % 4 + (i % 8 < 4 ? 0 : far) : i;
}

// Whether x may be taken in times its norm's factors, and the scale applied to the sums: a norm by the
// mean square alone.
__device__ __forceinline__ bool scales_late(const Product& of) {
    return of.norm_kind == 2 && !of.norm_bias && of.inner % 4 == 0;
}

// x to shared memory: as it is, times its norm's factors where the scale comes later, or normalised.
// `factor` are the factors of a thread's first four values, which nobody writes: they were asked for
// before there was an x. A thread's sum of squares is what it returns.
__device__ __forceinline__ float bring_in(
    const Product& of, const float* x, u32 count, float* room, uint4 factor
) {
    u32 fours = of.inner / 4, far = of.inner / 2;
    float squares = 0;
    if (of.inner % 4 == 0 && !of.norm_kind) {
        // Not by asynchronous copies: who waits for those waits for the weights too, which are under way.
        for (u32 four = threadIdx.x; four < fours; four += WIDTH) {
            *(float4*)(room + place_in(four * 4, count, far)) = __ldcg((const float4*)x + four);
        }
        return 0;
    }
    if (scales_late(of)) {
        for (u32 four = threadIdx.x; four < fours; four += WIDTH) {
            float4 value = __ldcg((const float4*)x + four);
            if (four != threadIdx.x) factor = four_stored(of.norm, four, of.norm_element);
            float4 times = four_numbers(factor, of.norm, of.norm_element);
            squares += value.x * value.x + value.y * value.y + value.z * value.z + value.w * value.w;
            value.x *= times.x, value.y *= times.y, value.z *= times.z, value.w *= times.w;
            *(float4*)(room + place_in(four * 4, count, far)) = value;
        }
        return squares;
    }
    float mean = 0, scale = 1, sum = 0;
    if (of.norm_kind == 1) {
        for (u32 i = threadIdx.x; i < of.inner; i += WIDTH) sum += __ldcg(x + i);
        mean = block_sum(sum) / of.inner;
    }
    if (of.norm_kind) {
        for (u32 i = threadIdx.x; i < of.inner; i += WIDTH) {
            float value = __ldcg(x + i) - mean;
            squares += value * value;
        }
        scale = 1.0f / sqrtf(block_sum(squares) / of.inner + of.epsilon);
    }
    for (u32 i = threadIdx.x; i < of.inner; i += WIDTH) {
        float value = __ldcg(x + i);
        if (of.norm_kind) {
            value = (value - mean) * scale * value_at(of.norm, i, of.norm_element);
            if (of.norm_bias) value += value_at(of.norm_bias, i, of.norm_bias_element);
        }
        room[place_in(i, count, far)] = value;
    }
    return 0;
}
