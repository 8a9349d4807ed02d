// SHA-256 (FIPS 180-4) of many chunks at once, two threads a chunk.
//
// The hash of one message cannot be split; there are thousands of chunks. The data must begin at a
// multiple of 16 bytes, as chunk sizes do.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
__constant__ u32 ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

__device__ __forceinline__ u32 turn(u32 x, int bits) { return __funnelshift_r(x, x, bits); }

// Bytes of a word in memory order, most significant first.
__device__ __forceinline__ u32 big(u32 x) { return __byte_perm(x, 0, 0x0123); }

// Two warps work on 32 chunks. The words that the rounds take do not depend on the rounds. So one warp loads and
// prepares the words of the next 64 bytes, while the other does the rounds of these. Integer instructions bound both,
// and the two are on different schedulers of a multiprocessor; so a chunk takes as long as its rounds alone, which are
// three fifths of the instructions. A load waits for that at its end, when the last bytes have arrived.

// Words of a message block for the rounds, with the constants added: four at a time for each of 32 chunks.
typedef uint4 Words[16][32];

__device__ __forceinline__ void prepare(u32 (&w)[16], Words& words, int lane) {
#pragma unroll
    for (int i = 0; i < 64; i += 4) {
        if (i >= 16) {
#pragma unroll
            for (int k = i; k < i + 4; k++) {
                u32 far = w[(k + 1) & 15], near = w[(k + 14) & 15];
                w[k & 15] += (turn(far, 7) ^ turn(far, 18) ^ (far >> 3)) + w[(k + 9) & 15]
                    + (turn(near, 17) ^ turn(near, 19) ^ (near >> 10));
            }
        }
        words[i / 4][lane] = make_uint4(w[i & 15] + ROUND[i], w[(i + 1) & 15] + ROUND[i + 1],
                                        w[(i + 2) & 15] + ROUND[i + 2], w[(i + 3) & 15] + ROUND[i + 3]);
    }
}

__device__ __forceinline__ void rounds(u32 (&state)[8], const Words& words, int lane) {
    u32 a = state[0], b = state[1], c = state[2], d = state[3];
    u32 e = state[4], f = state[5], g = state[6], h = state[7];
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const uint4 four = words[i][lane];
        const u32 w[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            u32 t1 = h + w[k] + ((e & f) ^ (~e & g)) + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25));
            u32 t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

// The words of the last blocks of a message: the rest, a one bit, zeros, and the length in bits.
__device__ __forceinline__ void ending(u32 (&w)[16], const u8* tail, int rest, u64 length, int block, int last) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
        u32 word = 0;
        for (int k = 0; k < 4; k++) {
            int at = block * 64 + i * 4 + k;
            u32 byte = at < rest ? tail[at] : at == rest ? 0x80 : 0;
            word = word << 8 | byte;
        }
        w[i] = word;
    }
    if (block == last - 1) {
        w[14] = (u32)((length * 8) >> 32);
        w[15] = (u32)(length * 8);
    }
}

// Chunks `first` to `first + count` of `bytes` bytes at `data`, cut every `chunk_bytes`; the digest
// of the first of them goes to `digests`, the others behind it, 32 bytes each.
extern "C" __global__ void __launch_bounds__(64) sha256_chunks(
    const u8* data, u64 bytes, u64 chunk_bytes, u64 first, u64 count, uint4* digests
) {
    __shared__ Words words[2];
    const int lane = threadIdx.x % 32;
    const bool prepares = threadIdx.x >= 32;
    const u64 mine = blockIdx.x * 32ull + lane;
    // Threads without a chunk take part in all steps: of no bytes they hash nothing, and write nothing.
    const u64 start = (first + mine) * chunk_bytes;
    const u64 left = mine < count && start < bytes ? bytes - start : 0;
    const u64 length = left < chunk_bytes ? left : chunk_bytes;
    const u64 blocks = length / 64;
    const int rest = (int)(length % 64);
    const int last = rest + 9 > 64 ? 2 : 1;
    const u64 all = blocks + last;
    // A chunk may be shorter than the others, so lanes may end at different blocks. All go on until the last has.
    const u64 most = chunk_bytes / 64 + 2;
    const uint4* from = (const uint4*)(data + start);
    u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u32 w[16];
    uint4 next[4];
    if (prepares && blocks > 0) {
#pragma unroll
        for (int i = 0; i < 4; i++) next[i] = from[i];
    }
    // In a step, one warp prepares a block and the other does the rounds of the one before.
    for (u64 step = 0; step <= most; step++) {
        if (prepares) {
            if (step < blocks) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    w[4 * i] = big(next[i].x), w[4 * i + 1] = big(next[i].y);
                    w[4 * i + 2] = big(next[i].z), w[4 * i + 3] = big(next[i].w);
                }
                // Fetched while this block is worked on: memory is the longer way.
                if (step + 1 < blocks) {
#pragma unroll
                    for (int i = 0; i < 4; i++) next[i] = from[4 * (step + 1) + i];
                }
                prepare(w, words[step % 2], lane);
            } else if (step < all) {
                ending(w, data + start + blocks * 64, rest, length, (int)(step - blocks), last);
                prepare(w, words[step % 2], lane);
            }
        } else if (step > 0 && step <= all) {
            rounds(state, words[(step - 1) % 2], lane);
        }
        __syncthreads();
    }
    if (prepares || mine >= count) return;
    digests[mine * 2] = make_uint4(big(state[0]), big(state[1]), big(state[2]), big(state[3]));
    digests[mine * 2 + 1] = make_uint4(big(state[4]), big(state[5]), big(state[6]), big(state[7]));
}
