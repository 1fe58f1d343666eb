/* Linear layers and norms for the few rows of a step and the many of a prompt.

   Weights lie in panels of 32 outputs, input after input, so that a step reads memory once from front to back. Every
   row is summed in the same order whatever stands beside it: a batch gives exactly what single calls give. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum { LANES = 16, PANEL = 32 };
enum { FP32, BF16, INT8 };
enum { RMS, LAYER };

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

/* One panel of BF16 in FP32. */
static void widened(const struct linear *l, size_t at, float *panel) {
    size_t n = PANEL * (size_t)l->in;
    const uint16_t *w = (const uint16_t *)l->weight + at * n;
    for (size_t i = 0; i < n; i += LANES)
        *(FloatsAt *)(panel + i) = (Floats)(__builtin_convertvector(*(const HalvesAt *)(w + i), Bits) << 16);
}

/* y = x W + b, or y += that. Rows of y have room for whole panels. `bytes`: room for the rows in 8 bits, and for a
   panel of PANEL `in` floats; `scales`: one for each row. */
static void linear(const struct linear *l, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, int add,
                   uint8_t *bytes, float *scales) {
    size_t panels = whole((size_t)l->out, PANEL) / PANEL, ldb = whole((size_t)l->in, 4), many;
    Floats sums[TILE][4];
    if (l->kind == INT8) rounded(x, ldx, rows, (size_t)l->in, bytes, scales);
    for (size_t at = 0; at < panels; at += many) {
        struct linear wide = {.weight = bytes, .in = l->in, .kind = FP32};
        int widen = l->kind == BF16 && rows > 2 * TILE;
        if (widen) widened(l, at, (float *)bytes);
        many = rows == 1 && at + 1 < panels ? 2 : 1; /* one row alone does not fill the pipeline of sums */
        for (size_t r = 0; r < rows; r += TILE) {
            int n = (int)LEAST(rows - r, (size_t)TILE), m = 2 * (int)many;
            tile(widen ? &wide : l, widen ? 0 : at, n, m, x + r * ldx, ldx, bytes + r * ldb, scales + r, sums);
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

/* ---- Norms ---- */

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
