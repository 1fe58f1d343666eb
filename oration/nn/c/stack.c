/* The blocks of a Transformer: a step, or a whole prompt, in one call.

   Compiled on first use by oration/nn/compiled.py; oration/nn/native.py knows the same structures. */

#include <pthread.h>

#include "layers.h"

enum { CHUNK = 128, MOST_THREADS = 64 };
enum { SWIGLU, GEGLU, GELU, GELU_TANH, RELU };

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
    const int64_t *line; /* which of the cache's sequences each of a call's is; NULL: the same */
};

static size_t line_of(const struct cache *cache, size_t b) { return cache->line ? (size_t)cache->line[b] : b; }

/* ---- Activations ---- */

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
    size_t b = line_of(c->cache, row / c->steps), heads = (size_t)s->heads, keys = (size_t)s->kv_heads;
    size_t width = (size_t)s->width, capacity = (size_t)c->cache->capacity;
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
    size_t b = line_of(c->cache, row / c->steps), keys = (size_t)s->kv_heads, width = (size_t)s->width;
    size_t each = (size_t)s->heads / keys, capacity = (size_t)c->cache->capacity;
    size_t position = (size_t)c->cache->length[b] + row % c->steps;
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
static void see_many(struct work *work, size_t layer, size_t called, size_t from, size_t to) {
    struct call *c = work->call;
    const struct stack *s = c->stack;
    size_t b = line_of(c->cache, called);
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
                size_t stop = whole(length + i + (size_t)many - base, PANEL), row = called * c->steps + i;
                float *q = c->q + row * c->ldq + h * width, by[TILE];
                for (size_t p = start; p < stop; p += PANEL) {
                    tile_of(many, k + p * width, PANEL, q, c->ldq, width, sums);
                    for (int j = 0; j < many; j++)
                        memcpy(work->scores + (size_t)j * n + p, sums[j], PANEL * sizeof(float));
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
                        float *to = q + (size_t)j * c->ldq + d;
                        for (size_t e = 0; e < LEAST(width - d, (size_t)PANEL); e++)
                            to[e] = sums[j][e / LANES][e % LANES] * by[j];
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
        double position = (double)(c->cache->length[line_of(c->cache, row / c->steps)] + (int64_t)(row % c->steps));
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
    for (size_t b = 0; b < c->n; b++) longest = MOST(longest, (size_t)c->cache->length[line_of(c->cache, b)]);
    longest = LEAST(longest, (size_t)c->cache->capacity) + c->steps;
    longest = whole(longest, PANEL) + PANEL;
    work->buffer = room(rows * c->ldx * sizeof(float));
    work->up = room(rows * MOST(ldu, lda) * sizeof(float));
    work->scores = room(TILE * longest * sizeof(float));
    work->packed = room(c->steps == 1 ? 0 : longest * (width + whole(width, PANEL) + 1) * sizeof(float));
    work->scales = room(rows * sizeof(float));
    work->turns = room((work->last - work->first) * 2 * (size_t)s->pairs * sizeof(float));
    work->bytes = room(MOST(rows, 4 * PANEL) * whole(MOST(MOST(ldu, lda), c->ldx), 4));
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
            size_t b = line_of(cache, row / (size_t)steps), position = (size_t)cache->length[b] + row % (size_t)steps;
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
        for (size_t b = 0; b < (size_t)n; b++) cache->length[line_of(cache, b)] += steps;
    }
    free(c.x), free(c.q);
    return !done;
}

/* float[rows][in] through one layer, to float[rows][out]. 0, or 1: no memory. */
int oration_linear(const struct linear *l, const float *x, float *y, int64_t rows) {
    size_t in = (size_t)l->in, out = (size_t)l->out, ld = whole(out, PANEL);
    size_t chunk = LEAST((size_t)rows, (size_t)CHUNK);
    float *sums = room(chunk * ld * sizeof(float)), *scales = room(chunk * sizeof(float));
    uint8_t *bytes = room(MOST(chunk, 4 * PANEL) * whole(in, 4));
    int done = sums && scales && bytes;
    for (size_t row = 0; done && row < (size_t)rows; row += chunk) {
        size_t many = LEAST((size_t)rows - row, chunk);
        linear(l, x + row * in, in, sums, ld, many, 0, bytes, scales);
        for (size_t r = 0; r < many; r++) memcpy(y + (row + r) * out, sums + r * ld, out * sizeof(float));
    }
    free(sums), free(scales), free(bytes);
    return !done;
}
