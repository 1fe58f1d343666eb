/* The blocks of a Transformer and its linear layers, for the few rows of a step and the many of a prompt.

   Weights lie in panels of 32 outputs, input after input, so that a step reads memory once from front to back. Every
   row is summed in the same order whatever stands beside it: a batch gives exactly what single calls give.
   Compiled on first use by oration/nn/compiled.py; oration/nn/native.py knows the same structures. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum { LANES = 16, PANEL = 32, CHUNK = 128, MOST_THREADS = 64 };
enum { FP32, BF16, INT8 };
enum { RMS, LAYER };
enum { SWIGLU, GEGLU, GELU, GELU_TANH, RELU };

/* Rows multiplied at once: as many as the accumulators of a panel fit the registers. */
#if defined(__AVX512F__)
enum { TILE = 8 };
#define EACH_TILE(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8)
#else
enum { TILE = 3 };
#define EACH_TILE(DO) DO(1) DO(2) DO(3)
#endif
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define MOST(a, b) ((a) > (b) ? (a) : (b))

typedef float Floats __attribute__((vector_size(64)));
typedef float Eight __attribute__((vector_size(32)));
typedef float Four __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Bits __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef float FloatsAt __attribute__((vector_size(64), aligned(4), may_alias)); /* the same, anywhere in memory */
typedef int32_t IntsAt __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t HalvesAt __attribute__((vector_size(32), aligned(2), may_alias));

struct linear {
    const void *weight;  /* panels */
    const float *scale;  /* INT8: of each output */
    const int32_t *sums; /* INT8: 128 times the sum of each output's weights */
    const float *bias;   /* of whole panels, or none */
    int64_t in, out, kind;
};

struct norm {
    const float *weight, *bias;
    double eps;
    int64_t kind; /* -1: none */
};

struct block {
    struct norm before, middle;
    struct linear qkv, out, up, down;
};

struct stack {
    const struct block *blocks;
    const double *frequency; /* radians a step of each pair that is turned */
    struct norm final;
    int64_t layers, dim, heads, kv_heads, width, ffn, mlp;
    int64_t window; /* 0: none */
    int64_t pairs, interleaved;
};

struct cache {
    float *const *keys, *const *values; /* of each layer, [n][kv_heads][capacity][width] */
    int64_t *held, *length;             /* [n][capacity], [n] */
    int64_t capacity;
};

static size_t whole(size_t n, size_t of) { return (n + of - 1) / of * of; }

/* ---- Sums ---- */

INLINE float total(Floats v) {
    union { Floats all; Eight half[2]; } one = {v};
    union { Eight all; Four half[2]; } two = {one.half[0] + one.half[1]};
    Four sums = two.half[0] + two.half[1];
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

INLINE Floats larger(Floats a, Floats b) {
    Ints more = a > b;
    return (Floats)(((Ints)a & more) | ((Ints)b & ~more));
}

INLINE float dot(const float *a, const float *b, size_t n) {
    Floats sums = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) sums += *(const FloatsAt *)(a + i) * *(const FloatsAt *)(b + i);
    float rest = total(sums);
    for (; i < n; i++) rest += a[i] * b[i];
    return rest;
}

/* e to the x, to 2 units of the last place: 2 to a whole number times Taylor's series within half a power of two. */
INLINE float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    union { int32_t i; float f; } power = {.i = ((int32_t)n + 127) << 23};
    return p * power.f;
}

/* ---- Linear layers ---- */

INLINE void tile_fp32(const int n, const int m, const float *w, size_t step, size_t panel, const float *x, size_t ldx,
                      size_t depth, Floats sums[][4]) {
    Floats acc[TILE][4];
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) acc[i][j] = (Floats){0};
    for (size_t k = 0; k < depth; k++, w += step) {
        Floats row[4];
        UNROLL for (int j = 0; j < m; j++) row[j] = *(const FloatsAt *)(w + j / 2 * panel + j % 2 * LANES);
        UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) acc[i][j] += row[j] * x[i * ldx + k];
    }
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) sums[i][j] = acc[i][j];
}

INLINE void tile_bf16(const int n, const int m, const uint16_t *w, size_t panel, const float *x, size_t ldx,
                      size_t depth, Floats sums[][4]) {
    Floats acc[TILE][4];
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) acc[i][j] = (Floats){0};
    for (size_t k = 0; k < depth; k++, w += PANEL) {
        Floats row[4];
        UNROLL for (int j = 0; j < m; j++) {
            Halves half = *(const HalvesAt *)(w + j / 2 * panel + j % 2 * LANES);
            row[j] = (Floats)(__builtin_convertvector(half, Bits) << 16);
        }
        UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) acc[i][j] += row[j] * x[i * ldx + k];
    }
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) sums[i][j] = acc[i][j];
}

/* 16 outputs with 4 inputs each: 64 weights with a sign times 4 numbers without. */
#if defined(__AVX512VNNI__)
INLINE Ints four(Ints acc, const int8_t *w, uint32_t x) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)acc, _mm512_set1_epi32((int)x), _mm512_loadu_si512(w));
}
INLINE Ints ordered(Ints acc) { return acc; }
#elif defined(__AVX2__)
INLINE Ints four(Ints acc, const int8_t *w, uint32_t x) {
    union { Ints all; __m256i half[2]; } sums = {acc};
    __m256i wide = _mm256_cvtepu8_epi16(_mm_set1_epi32((int)x)), part[4];
    UNROLL for (int i = 0; i < 4; i++)
        part[i] = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w + i)), wide);
    UNROLL for (int i = 0; i < 2; i++)
        sums.half[i] = _mm256_add_epi32(sums.half[i], _mm256_hadd_epi32(part[2 * i], part[2 * i + 1]));
    return sums.all;
}
INLINE Ints ordered(Ints acc) { /* pairs of outputs came crosswise */
    union { Ints all; __m256i half[2]; } sums = {acc};
    UNROLL for (int i = 0; i < 2; i++) sums.half[i] = _mm256_permute4x64_epi64(sums.half[i], 0xD8);
    return sums.all;
}
#else
INLINE Ints four(Ints acc, const int8_t *w, uint32_t x) {
    union { uint32_t all; uint8_t each[4]; } four = {x};
    UNROLL for (int o = 0; o < LANES; o++) UNROLL for (int i = 0; i < 4; i++) acc[o] += w[4 * o + i] * four.each[i];
    return acc;
}
INLINE Ints ordered(Ints acc) { return acc; }
#endif

INLINE void tile_int8(const int n, const int m, const int8_t *w, size_t panel, const uint8_t *x, size_t ldx,
                      size_t depth, Ints sums[][4]) {
    Ints acc[TILE][4];
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) acc[i][j] = (Ints){0};
    for (size_t k = 0; k < depth; k += 4, w += 4 * PANEL) {
        UNROLL for (int i = 0; i < n; i++) {
            uint32_t inputs;
            memcpy(&inputs, x + i * ldx + k, 4);
            UNROLL for (int j = 0; j < m; j++)
                acc[i][j] = four(acc[i][j], w + j / 2 * panel + j % 2 * 4 * LANES, inputs);
        }
    }
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < m; j++) sums[i][j] = ordered(acc[i][j]);
}

/* Rows in 8 bits around 128, with a scale each. */
static void rounded(const float *x, size_t ldx, size_t rows, size_t in, uint8_t *bytes, float *scales) {
    size_t ld = whole(in, 4);
    for (size_t r = 0; r < rows; r++, x += ldx, bytes += ld) {
        float most = 1e-12f;
        Floats peaks = {0};
        size_t i = 0;
        for (; i + LANES <= in; i += LANES) {
            peaks = larger((Floats)((Bits) * (const FloatsAt *)(x + i) & 0x7fffffff), peaks);
        }
        for (int j = 0; j < LANES; j++) most = MOST(most, peaks[j]);
        for (; i < in; i++) most = MOST(most, fabsf(x[i]));
        float up = 127 / most;
        for (i = 0; i < in; i++) { /* a number this large has no room for fractions: adding it rounds */
            union { float f; int32_t i; } sum = {.f = x[i] * up + 12582912.0f};
            bytes[i] = (uint8_t)(sum.i - 0x4B400000 + 128);
        }
        for (; i < ld; i++) bytes[i] = 128;
        scales[r] = most / 127;
    }
}

/* One tile of rows times `m / 2` panels, to `sums`. */
static void tile(const struct linear *l, size_t at, int n, int m, const float *x, size_t ldx, const uint8_t *bytes,
                 const float *scales, Floats sums[][4]) {
    size_t in = (size_t)l->in, four_in = whole(in, 4);
    if (l->kind == INT8) {
        Ints whole_sums[TILE][4];
        const int8_t *w = (const int8_t *)l->weight + at * PANEL * four_in;
#define DO(N) case N: tile_int8(N, 2, w, 0, bytes, four_in, four_in, whole_sums); break;
        if (m == 4)
            tile_int8(1, 4, w, PANEL * four_in, bytes, four_in, four_in, whole_sums);
        else
            switch (n) { EACH_TILE(DO) }
#undef DO
        for (int j = 0; j < m; j++) {
            size_t o = at * PANEL + (size_t)j * LANES;
            Ints shift = *(const IntsAt *)(l->sums + o);
            Floats scale = *(const FloatsAt *)(l->scale + o);
            for (int i = 0; i < n; i++)
                sums[i][j] = __builtin_convertvector(whole_sums[i][j] - shift, Floats) * (scale * scales[i]);
        }
    } else if (l->kind == BF16) {
        const uint16_t *w = (const uint16_t *)l->weight + at * PANEL * in;
#define DO(N) case N: tile_bf16(N, 2, w, 0, x, ldx, in, sums); break;
        if (m == 4)
            tile_bf16(1, 4, w, PANEL * in, x, ldx, in, sums);
        else
            switch (n) { EACH_TILE(DO) }
#undef DO
    } else {
        const float *w = (const float *)l->weight + at * PANEL * in;
#define DO(N) case N: tile_fp32(N, 2, w, PANEL, 0, x, ldx, in, sums); break;
        if (m == 4)
            tile_fp32(1, 4, w, PANEL, PANEL * in, x, ldx, in, sums);
        else
            switch (n) { EACH_TILE(DO) }
#undef DO
    }
}

/* y = x W + b, or y += that. Rows of y have room for whole panels. `bytes`, `scales`: room for the rows in 8 bits. */
static void linear(const struct linear *l, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, int add,
                   uint8_t *bytes, float *scales) {
    size_t panels = whole((size_t)l->out, PANEL) / PANEL, ldb = whole((size_t)l->in, 4), many;
    Floats sums[TILE][4];
    if (l->kind == INT8) rounded(x, ldx, rows, (size_t)l->in, bytes, scales);
    for (size_t at = 0; at < panels; at += many) {
        many = rows == 1 && at + 1 < panels ? 2 : 1; /* one row alone does not fill the pipeline of sums */
        for (size_t r = 0; r < rows; r += TILE) {
            int n = (int)LEAST(rows - r, (size_t)TILE), m = 2 * (int)many;
            tile(l, at, n, m, x + r * ldx, ldx, bytes + r * ldb, scales + r, sums);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) {
                    size_t o = at * PANEL + (size_t)j * LANES;
                    float *to = y + (r + (size_t)i) * ldy + o;
                    Floats v = sums[i][j];
                    if (l->bias) v += *(const FloatsAt *)(l->bias + o);
                    if (add) v += *(FloatsAt *)to;
                    *(FloatsAt *)to = v;
                }
        }
    }
}

/* ---- Norms and activations ---- */

static void normed(const struct norm *norm, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t dim) {
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        const float *w = norm->weight, *b = norm->bias;
        if (norm->kind < 0) {
            memcpy(y, x, dim * sizeof(float));
        } else if (norm->kind == RMS) {
            float by = 1.0f / sqrtf(dot(x, x, dim) / (float)dim + (float)norm->eps);
            for (size_t i = 0; i < dim; i++) y[i] = x[i] * by * w[i];
        } else {
            double mean = 0, square = 0;
            for (size_t i = 0; i < dim; i++) mean += x[i];
            mean /= (double)dim;
            for (size_t i = 0; i < dim; i++) square += (x[i] - mean) * (x[i] - mean);
            float by = (float)(1 / sqrt(square / (double)dim + norm->eps)), middle = (float)mean;
            for (size_t i = 0; i < dim; i++) y[i] = (x[i] - middle) * by * w[i];
            for (size_t i = 0; b && i < dim; i++) y[i] += b[i];
        }
    }
}

INLINE float silu(float x) { return x / (1.0f + exponential(-x)); }
INLINE float gelu_tanh(float x) { /* x (1 + tanh u) / 2 is x times the logistic function of 2 u */
    return x / (1.0f + exponential(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

static void activated(const struct stack *s, float *x, size_t ld, size_t rows) {
    size_t ffn = (size_t)s->ffn;
    for (size_t r = 0; r < rows; r++, x += ld) {
        const float *held = x + ffn;
        if (s->mlp == SWIGLU)
            for (size_t i = 0; i < ffn; i++) x[i] = silu(x[i]) * held[i];
        else if (s->mlp == GEGLU)
            for (size_t i = 0; i < ffn; i++) x[i] = gelu_tanh(x[i]) * held[i];
        else if (s->mlp == GELU_TANH)
            for (size_t i = 0; i < ffn; i++) x[i] = gelu_tanh(x[i]);
        else if (s->mlp == GELU)
            for (size_t i = 0; i < ffn; i++) x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
        else
            for (size_t i = 0; i < ffn; i++) x[i] = x[i] < 0 ? 0 : x[i];
    }
}

/* ---- Attention ---- */

struct call {
    const struct stack *stack;
    const struct cache *cache;
    size_t n, steps, threads;
    float *x, *q;  /* [n steps][padded dim], [n steps][padded heads * width] */
    size_t ldx, ldq;
    pthread_mutex_t lock;
    pthread_cond_t met;
    size_t waiting, meetings;
    int failed;
};

struct work { /* one thread's part of a call */
    struct call *call;
    size_t first, last; /* rows */
    float *buffer, *up, *scores, *packed, *scales, *turns;
    uint8_t *bytes;
};

static void turn(const struct stack *s, float *head, const float *turns) {
    size_t pairs = (size_t)s->pairs;
    const float *cosine = turns, *sine = turns + pairs;
    if (s->interleaved)
        for (size_t i = 0; i < pairs; i++) {
            float a = head[2 * i], b = head[2 * i + 1];
            head[2 * i] = a * cosine[i] - b * sine[i];
            head[2 * i + 1] = b * cosine[i] + a * sine[i];
        }
    else
        for (size_t i = 0; i < pairs; i++) {
            float a = head[i], b = head[i + pairs];
            head[i] = a * cosine[i] - b * sine[i];
            head[i + pairs] = b * cosine[i] + a * sine[i];
        }
}

/* Queries, keys and values of one row: turned, and put where attention finds them. */
static void settle(struct work *work, size_t layer, size_t row, float *qkv) {
    struct call *c = work->call;
    const struct stack *s = c->stack;
    size_t b = row / c->steps, heads = (size_t)s->heads, keys = (size_t)s->kv_heads, width = (size_t)s->width;
    size_t capacity = (size_t)c->cache->capacity;
    size_t position = (size_t)c->cache->length[b] + row % c->steps, slot = position % capacity;
    const float *turns = work->turns + (row - work->first) * 2 * (size_t)s->pairs;
    for (size_t h = 0; s->pairs && h < heads + keys; h++) turn(s, qkv + h * width, turns);
    memcpy(c->q + row * c->ldq, qkv, heads * width * sizeof(float));
    for (size_t g = 0; g < keys; g++) {
        size_t at = ((b * keys + g) * capacity + slot) * width;
        memcpy(c->cache->keys[layer] + at, qkv + (heads + g) * width, width * sizeof(float));
        memcpy(c->cache->values[layer] + at, qkv + (heads + keys + g) * width, width * sizeof(float));
    }
}

/* The first position that a step at `position` may look at. */
static size_t farthest(const struct call *c, size_t position) {
    size_t back = (size_t)c->cache->capacity;
    if (c->stack->window) back = LEAST(back, (size_t)c->stack->window);
    return position + 1 > back ? position + 1 - back : 0;
}

/* Scores to shares of one; those below -1e30 are not to be seen. Returns what to divide by. */
static float softmax(float *scores, size_t n, float scale) {
    float most = -INFINITY;
    Floats sums = {0}, peaks = *(const FloatsAt *)scores;
    for (size_t i = LANES; i < n; i += LANES) peaks = larger(*(const FloatsAt *)(scores + i), peaks);
    for (int j = 0; j < LANES; j++) most = MOST(most, peaks[j]);
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = i; j < i + LANES; j++)
            scores[j] = scores[j] < -1e30f ? 0.0f : exponential((scores[j] - most) * scale);
        sums += *(const FloatsAt *)(scores + i);
    }
    return total(sums);
}

/* `m` vectors of what a step sees: values by their shares, one position after another from `slot` on. */
INLINE void gather(const int m, const float *values, size_t width, size_t capacity, size_t slot, const float *shares,
                   size_t n, float by, float *seen) {
    Floats sums[4];
    UNROLL for (int j = 0; j < m; j++) sums[j] = (Floats){0};
    for (size_t i = 0; i < n; i++) {
        const float *value = values + slot * width;
        UNROLL for (int j = 0; j < m; j++) sums[j] += shares[i] * *(const FloatsAt *)(value + j * LANES);
        slot = slot + 1 == capacity ? 0 : slot + 1;
    }
    UNROLL for (int j = 0; j < m; j++) *(FloatsAt *)(seen + j * LANES) = sums[j] * by;
}

/* One step of one sequence: straight from the cache. Its query is replaced by what it has seen. */
static void see(struct work *work, size_t layer, size_t row) {
    struct call *c = work->call;
    const struct stack *s = c->stack;
    size_t b = row / c->steps, keys = (size_t)s->kv_heads, width = (size_t)s->width, each = (size_t)s->heads / keys;
    size_t capacity = (size_t)c->cache->capacity, position = (size_t)c->cache->length[b] + row % c->steps;
    size_t first = farthest(c, position), base = first / LANES * LANES, n = whole(position + 1 - base, LANES);
    const int64_t *held = c->cache->held + b * capacity;
    float *scores = work->scores, scale = 1.0f / sqrtf((float)width);
    for (size_t h = 0; h < (size_t)s->heads; h++) {
        size_t at = (b * keys + h / each) * capacity * width, slot = first % capacity;
        const float *k = c->cache->keys[layer] + at, *v = c->cache->values[layer] + at;
        float *q = c->q + row * c->ldq + h * width;
        for (size_t i = 0; i < n; i++) scores[i] = -INFINITY;
        for (size_t p = first; p <= position; p++) {
            if (held[slot] == (int64_t)p) scores[p - base] = dot(q, k + slot * width, width);
            slot = slot + 1 == capacity ? 0 : slot + 1;
        }
        float by = 1.0f / softmax(scores, n, scale);
        const float *shares = scores + (first - base);
        size_t d = 0, many = position + 1 - first;
        slot = first % capacity;
        for (; d + 4 * LANES <= width; d += 4 * LANES) gather(4, v + d, width, capacity, slot, shares, many, by, q + d);
        for (; d + LANES <= width; d += LANES) gather(1, v + d, width, capacity, slot, shares, many, by, q + d);
        for (; d < width; d++) {
            float sum = 0;
            for (size_t i = 0; i < many; i++) sum += shares[i] * v[(slot + i) % capacity * width + d];
            q[d] = sum * by;
        }
    }
}

/* A few rows times panels of a matrix in float32. */
static void tile_of(int n, const float *w, size_t step, const float *x, size_t ldx, size_t depth, Floats sums[][4]) {
#define DO(N) case N: tile_fp32(N, 2, w, step, 0, x, ldx, depth, sums); break;
    switch (n) { EACH_TILE(DO) }
#undef DO
}

/* Several steps of one sequence: keys are laid in panels, so that steps are multiplied together. */
static void see_many(struct work *work, size_t layer, size_t b, size_t from, size_t to) {
    struct call *c = work->call;
    const struct stack *s = c->stack;
    size_t keys = (size_t)s->kv_heads, width = (size_t)s->width, each = (size_t)s->heads / keys;
    size_t capacity = (size_t)c->cache->capacity, ldv = whole(width, PANEL), length = (size_t)c->cache->length[b];
    size_t base = farthest(c, length + from) / PANEL * PANEL, n = whole(length + to - base, PANEL);
    const int64_t *held = c->cache->held + b * capacity;
    float *k = work->packed, *v = k + n * width, *there = v + n * ldv, scale = 1.0f / sqrtf((float)width);
    Floats sums[TILE][4];
    for (size_t g = 0; g < keys; g++) {
        for (size_t i = 0; i < n; i++) {
            size_t p = base + i, slot = p % capacity, at = ((b * keys + g) * capacity + slot) * width;
            int is = p < length + to && held[slot] == (int64_t)p;
            const float *key = c->cache->keys[layer] + at, *value = c->cache->values[layer] + at;
            float *panel = k + i / PANEL * PANEL * width + i % PANEL;
            there[i] = is ? 0.0f : -INFINITY;
            for (size_t d = 0; d < width; d++) panel[d * PANEL] = is ? key[d] : 0.0f;
            for (size_t d = 0; d < ldv; d++) v[i * ldv + d] = is && d < width ? value[d] : 0.0f;
        }
        for (size_t h = g * each; h < (g + 1) * each; h++)
            for (size_t i = from; i < to; i += TILE) {
                int many = (int)LEAST(to - i, (size_t)TILE);
                size_t start = farthest(c, length + i) / PANEL * PANEL - base;
                size_t stop = whole(length + i + (size_t)many - base, PANEL), row = b * c->steps + i;
                float *q = c->q + row * c->ldq + h * width, by[TILE];
                for (size_t p = start; p < stop; p += PANEL) {
                    tile_of(many, k + p * width, PANEL, q, c->ldq, width, sums);
                    for (int j = 0; j < many; j++) memcpy(work->scores + (size_t)j * n + p, sums[j], PANEL * sizeof(float));
                }
                for (int j = 0; j < many; j++) {
                    float *scores = work->scores + (size_t)j * n;
                    size_t position = length + i + (size_t)j, first = farthest(c, position) - base;
                    for (size_t p = start; p < first; p++) scores[p] = -INFINITY;
                    for (size_t p = first; p <= position - base; p++) scores[p] += there[p];
                    for (size_t p = position - base + 1; p < stop; p++) scores[p] = -INFINITY;
                    by[j] = 1.0f / softmax(scores + start, stop - start, scale);
                }
                for (size_t d = 0; d < ldv; d += PANEL) {
                    tile_of(many, v + start * ldv + d, ldv, work->scores + start, n, stop - start, sums);
                    for (int j = 0; j < many; j++) {
                        const float *seen = (const float *)sums[j];
                        for (size_t e = d; e < LEAST(d + PANEL, width); e++) q[(size_t)j * c->ldq + e] = seen[e - d] * by[j];
                    }
                }
            }
    }
}

/* ---- The whole ---- */

static void meet(struct call *c) {
    if (c->threads == 1) return;
    pthread_mutex_lock(&c->lock);
    size_t meeting = c->meetings;
    if (++c->waiting == c->threads) {
        c->waiting = 0;
        c->meetings++;
        pthread_cond_broadcast(&c->met);
    }
    while (meeting == c->meetings) pthread_cond_wait(&c->met, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static void angles(struct work *work) {
    struct call *c = work->call;
    size_t pairs = (size_t)c->stack->pairs;
    for (size_t row = work->first; row < work->last; row++) {
        double position = (double)(c->cache->length[row / c->steps] + (int64_t)(row % c->steps));
        float *turns = work->turns + (row - work->first) * 2 * pairs;
        for (size_t i = 0; i < pairs; i++) {
            turns[i] = (float)cos(position * c->stack->frequency[i]);
            turns[i + pairs] = (float)sin(position * c->stack->frequency[i]);
        }
    }
}

static void *through(void *given) {
    struct work *work = given;
    struct call *c = work->call;
    const struct stack *s = c->stack;
    size_t dim = (size_t)s->dim, ldx = c->ldx, steps = c->steps;
    size_t ldu = whole((size_t)s->blocks[0].up.out, PANEL), lda = whole((size_t)s->blocks[0].qkv.out, PANEL);
    angles(work);
    for (size_t layer = 0; layer < (size_t)s->layers; layer++) {
        const struct block *block = s->blocks + layer;
        for (size_t row = work->first; row < work->last; row += CHUNK) {
            size_t rows = LEAST(work->last - row, (size_t)CHUNK);
            normed(&block->before, c->x + row * ldx, ldx, work->buffer, ldx, rows, dim);
            linear(&block->qkv, work->buffer, ldx, work->up, lda, rows, 0, work->bytes, work->scales);
            for (size_t r = 0; r < rows; r++) settle(work, layer, row + r, work->up + r * lda);
        }
        meet(c); /* steps see those of other threads */
        for (size_t row = work->first, end; row < work->last; row = end) {
            size_t b = row / steps;
            end = LEAST(work->last, (b + 1) * steps);
            if (steps == 1)
                see(work, layer, row);
            else
                see_many(work, layer, b, row - b * steps, end - b * steps);
        }
        for (size_t row = work->first; row < work->last; row += CHUNK) {
            size_t rows = LEAST(work->last - row, (size_t)CHUNK);
            float *x = c->x + row * ldx;
            linear(&block->out, c->q + row * c->ldq, c->ldq, x, ldx, rows, 1, work->bytes, work->scales);
            normed(&block->middle, x, ldx, work->buffer, ldx, rows, dim);
            linear(&block->up, work->buffer, ldx, work->up, ldu, rows, 0, work->bytes, work->scales);
            activated(s, work->up, ldu, rows);
            linear(&block->down, work->up, ldu, x, ldx, rows, 1, work->bytes, work->scales);
        }
    }
    return NULL;
}

static void *room(size_t bytes) {
    void *at = NULL;
    return posix_memalign(&at, 64, whole(MOST(bytes, 64), 64)) ? NULL : at;
}

static int prepare(struct work *work) {
    struct call *c = work->call;
    const struct stack *s = c->stack;
    size_t rows = LEAST(work->last - work->first, (size_t)CHUNK), width = (size_t)s->width, longest = 0;
    size_t ldu = whole((size_t)s->blocks[0].up.out, PANEL), lda = whole((size_t)s->blocks[0].qkv.out, PANEL);
    for (size_t b = 0; b < c->n; b++) longest = MOST(longest, (size_t)c->cache->length[b]);
    longest = LEAST(longest, (size_t)c->cache->capacity) + c->steps;
    longest = whole(longest, PANEL) + PANEL;
    work->buffer = room(rows * c->ldx * sizeof(float));
    work->up = room(rows * MOST(ldu, lda) * sizeof(float));
    work->scores = room(TILE * longest * sizeof(float));
    work->packed = room(c->steps == 1 ? 0 : longest * (width + whole(width, PANEL) + 1) * sizeof(float));
    work->scales = room(rows * sizeof(float));
    work->turns = room((work->last - work->first) * 2 * (size_t)s->pairs * sizeof(float));
    work->bytes = room(rows * whole(MOST(MOST(ldu, lda), c->ldx), 4));
    return work->buffer && work->up && work->scores && work->packed && work->scales && work->turns && work->bytes;
}

static void leave(struct work *work) {
    free(work->buffer), free(work->up), free(work->scores), free(work->packed);
    free(work->scales), free(work->turns), free(work->bytes);
}

static void *begin(void *given) {
    struct work *work = given;
    pthread_mutex_lock(&work->call->lock); /* until all threads are there, and know their rows */
    pthread_mutex_unlock(&work->call->lock);
    return work->call->failed ? NULL : through(work);
}

static void run(struct call *c, struct work *works) {
    size_t rows = c->n * c->steps, wanted = c->threads;
    pthread_t others[MOST_THREADS];
    pthread_mutex_lock(&c->lock);
    for (c->threads = 1; c->threads < wanted; c->threads++) {
        works[c->threads].call = c;
        if (pthread_create(others + c->threads, NULL, begin, works + c->threads)) break; /* then with fewer */
    }
    for (size_t t = 0; t < c->threads; t++) {
        works[t] = (struct work){.call = c, .first = rows * t / c->threads, .last = rows * (t + 1) / c->threads};
        c->failed |= !prepare(works + t);
    }
    pthread_mutex_unlock(&c->lock);
    if (!c->failed) through(works);
    for (size_t t = 1; t < c->threads; t++) pthread_join(others[t], NULL);
    for (size_t t = 0; t < c->threads; t++) leave(works + t);
}

/* float[n][steps][dim] after the cache, through the stack, to `y`. The cache is told of them. 0, or 1: no memory. */
int oration_stack(const struct stack *s, const struct cache *cache, const float *x, float *y, int64_t n, int64_t steps,
                  int64_t threads) {
    size_t rows = (size_t)(n * steps), dim = (size_t)s->dim, capacity = (size_t)cache->capacity;
    struct call c = {.stack = s, .cache = cache, .n = (size_t)n, .steps = (size_t)steps};
    struct work works[MOST_THREADS] = {{0}};
    c.threads = (size_t)MOST(1, LEAST(LEAST(threads, MOST_THREADS), (int64_t)rows / 32));
    c.ldx = whole(dim, PANEL), c.ldq = whole((size_t)(s->heads * s->width), PANEL);
    c.x = room(rows * c.ldx * sizeof(float)), c.q = room(rows * c.ldq * sizeof(float));
    int done = 0;
    if (c.x && c.q) {
        pthread_mutex_init(&c.lock, NULL);
        pthread_cond_init(&c.met, NULL);
        for (size_t row = 0; row < rows; row++) {
            size_t b = row / (size_t)steps, position = (size_t)cache->length[b] + row % (size_t)steps;
            cache->held[b * capacity + position % capacity] = (int64_t)position;
            memcpy(c.x + row * c.ldx, x + row * dim, dim * sizeof(float));
        }
        run(&c, works);
        done = !c.failed;
        pthread_mutex_destroy(&c.lock);
        pthread_cond_destroy(&c.met);
    }
    if (done) {
        normed(&s->final, c.x, c.ldx, y, dim, rows, dim);
        for (size_t b = 0; b < (size_t)n; b++) cache->length[b] += steps;
    }
    free(c.x), free(c.q);
    return !done;
}

/* float[rows][in] through one layer, to float[rows][out]. 0, or 1: no memory. */
int oration_linear(const struct linear *l, const float *x, float *y, int64_t rows) {
    size_t in = (size_t)l->in, out = (size_t)l->out, ld = whole(out, PANEL);
    size_t chunk = LEAST((size_t)rows, (size_t)CHUNK);
    float *sums = room(chunk * ld * sizeof(float)), *scales = room(chunk * sizeof(float));
    uint8_t *bytes = room(chunk * whole(in, 4));
    int done = sums && scales && bytes;
    for (size_t row = 0; done && row < (size_t)rows; row += chunk) {
        size_t many = LEAST((size_t)rows - row, chunk);
        linear(l, x + row * in, in, sums, ld, many, 0, bytes, scales);
        for (size_t r = 0; r < many; r++) memcpy(y + (row + r) * out, sums + r * ld, out * sizeof(float));
    }
    free(sums), free(scales), free(bytes);
    return !done;
}
