/* The steps of an LSTM over one layer and direction: what a step must wait for, and nothing else.

   Compiled on first use by oration/nn/compiled.py; oration/nn/recurrent.py knows the same structures. */

#include "layers.h"

INLINE float gate(float x) { return 1.0f / (1.0f + exponential(-x)); }
INLINE float bounded(float x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); } /* tanh */

/* `gates` float[n][steps][4 dim], what the inputs say of the gates in, forget, cell, out, is written over; `hidden` and
   `cell` float[n][dim], the state, become what they are after the last step; `y` float[n][steps], rows `ldy` apart.
   0, or 1: no memory. */
int oration_lstm(const struct linear *recurrent, float *gates, float *hidden, float *cell, float *y, int64_t n,
                 int64_t steps, int64_t ldy, int64_t backwards) {
    size_t dim = (size_t)recurrent->in, wide = 4 * dim, rows = (size_t)n, frames = (size_t)steps;
    uint8_t *bytes = malloc(MOST(rows, 4 * PANEL) * whole(dim, 4));
    if (!bytes) return 1;
    for (size_t step = 0; step < frames; step++) {
        size_t t = backwards ? frames - 1 - step : step;
        linear(recurrent, hidden, dim, gates + t * wide, frames * wide, rows, 1, bytes, NULL);
        for (size_t r = 0; r < rows; r++) {
            const float *g = gates + (r * frames + t) * wide;
            float *h = hidden + r * dim, *c = cell + r * dim, *to = y + (r * frames + t) * (size_t)ldy;
            for (size_t i = 0; i < dim; i++) {
                float now = gate(g[dim + i]) * c[i] + gate(g[i]) * bounded(g[2 * dim + i]);
                c[i] = now;
                h[i] = gate(g[3 * dim + i]) * bounded(now);
            }
            memcpy(to, h, dim * sizeof(float));
        }
    }
    free(bytes);
    return 0;
}
