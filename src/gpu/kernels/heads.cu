// What all kernels of attention share: the sizes, and the number of keys that a block takes at a time.

struct Heads {
    u32 tokens, heads, key_heads, head_size, causal;
    u32 window;  // how many keys a query sees of those up to itself; all of them where it is 0
    u32 query_stride, key_stride, value_stride;
    float scale;
};

#define KEYS 64
#define LEAST __int_as_float(0xff800000)  // minus infinity
