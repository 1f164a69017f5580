/* The part of `smooth_gain` in vshdr/temporal/smoothing.py that works at full size. */

#include <stdlib.h>

#include "kernels.h"
#include "logarithms.h"

enum { LAYERS = 4, LUMA = 3 }; /* gain of red, green and blue, and luma */

struct add_moved {
    const float *own, *there, *field;
    int64_t width, height, small_width, small_height;
    int factor;
    float other_pixel;
    float *total, *weights;
};

/* Where the samples of an enlarged row lie in the small row: `share` of the way from sample `below` to the
 * next. */
static void find_places(int32_t *below, float *share, int64_t width, int64_t small_width, int factor)
{
    for (int64_t x = 0; x < width; x++) {
        float place = ((float)x + 0.5f) / (float)factor - 0.5f;
        place = place < 0.0f ? 0.0f : place;
        int64_t first = (int64_t)place;
        first = first < small_width - 1 ? first : small_width - 1;
        below[x] = (int32_t)first;
        share[x] = first == small_width - 1 ? 0.0f : place - (float)first;
    }
}

/* A row of the small field between two rows, `share` of the way down. The last sample is repeated once, as
 * the next one of itself. */
FOR_EVERY_CPU static void between_rows(const float *restrict above, const float *restrict below, float share,
                                       float *restrict out, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        out[k] = above[k] + share * (below[k] - above[k]);
    out[count] = out[count - 1];
}

FOR_EVERY_CPU static void enlarge_row(const float *restrict small, const int32_t *restrict below,
                                      const float *restrict share, float *restrict out, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float from = small[below[x]];
        out[x] = from + share[x] * (small[below[x] + 1] - from);
    }
}

/* Where each pixel of a row lies in the other frame: `corner` is the upper left of the four samples around
 * that place, and `across` and `down` change from motion, in shares of half the frame's sides, to the
 * distance from that corner in pixels. */
FOR_EVERY_CPU static void find_samples(float *restrict across, float *restrict down, int32_t *restrict corner,
                                       int64_t y, int64_t width, int64_t height)
{
    float right = (float)(width - 1), bottom = (float)(height - 1);
    /* The last sample has no next one, so it is reached by going the whole way from the one before it. */
    float last_column = width > 1 ? right - 1.0f : 0.0f, last_row = height > 1 ? bottom - 1.0f : 0.0f;
    for (int64_t x = 0; x < width; x++) {
        float px = (float)x + across[x] * (0.5f * (float)width);
        float py = (float)y + down[x] * (0.5f * (float)height);
        px = px > 0.0f ? px : 0.0f; /* and 0 for NaN */
        py = py > 0.0f ? py : 0.0f;
        px = px < right ? px : right;
        py = py < bottom ? py : bottom;
        float column = px < last_column ? px : last_column, row = py < last_row ? py : last_row;
        int32_t left = (int32_t)column, top = (int32_t)row;
        corner[x] = top * (int32_t)width + left;
        across[x] = px - (float)left;
        down[x] = py - (float)top;
    }
}

/* The four numbers of a pixel lie side by side, so each of its four samples is one load. */
typedef float pixel __attribute__((vector_size(sizeof(float) * LAYERS)));

static inline pixel pixel_at(const float *at)
{
    pixel p;
    memcpy(&p, at, sizeof p);
    return p;
}

FOR_EVERY_CPU static void sample_row(const float *restrict layers, const int32_t *restrict corner,
                                     const float *restrict across, const float *restrict down, int64_t step_x,
                                     int64_t step_y, float *restrict out, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        const float *at = layers + LAYERS * (int64_t)corner[x];
        pixel from = pixel_at(at), above = from + across[x] * (pixel_at(at + step_x) - from);
        from = pixel_at(at + step_y);
        pixel below = from + across[x] * (pixel_at(at + step_y + step_x) - from);
        pixel sample = above + down[x] * (below - above);
        memcpy(out + LAYERS * x, &sample, sizeof sample);
    }
}

FOR_EVERY_CPU static void weigh_row(const float *restrict moved, const float *restrict own,
                                    const float *restrict distance, float scale, float *restrict weight,
                                    float *restrict weights, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float d = (moved[LAYERS * x + LUMA] - own[LAYERS * x + LUMA]) * scale;
        weight[x] = exp2_of(-1.4426950408889634f * (d * d + distance[x]));
        weights[x] += weight[x];
    }
}

FOR_EVERY_CPU static void add_row(const float *restrict weight, const float *restrict moved,
                                  float *restrict red, float *restrict green, float *restrict blue,
                                  int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        red[x] += weight[x] * moved[LAYERS * x];
        green[x] += weight[x] * moved[LAYERS * x + 1];
        blue[x] += weight[x] * moved[LAYERS * x + 2];
    }
}

static void add_moved_rows(const void *argument, int64_t first, int64_t end)
{
    const struct add_moved *job = argument;
    int64_t width = job->width, plane = width * job->height, small = job->small_width;
    int64_t small_plane = small * job->small_height;
    int64_t step_x = width > 1 ? LAYERS : 0, step_y = job->height > 1 ? LAYERS * width : 0;
    float *memory = malloc((size_t)((5 + LAYERS) * width + small + 1) * sizeof(float)
                           + (size_t)width * 2 * sizeof(int32_t));
    if (!memory)
        abort();
    float *share = memory, *across = share + width, *down = across + width, *distance = down + width;
    float *moved = distance + width, *weight = moved + LAYERS * width, *row = weight + width;
    int32_t *below = (int32_t *)(row + small + 1), *corner = below + width;
    find_places(below, share, width, small, job->factor);
    for (int64_t y = first; y < end; y++) {
        float place = ((float)y + 0.5f) / (float)job->factor - 0.5f;
        place = place < 0.0f ? 0.0f : place;
        int64_t top = (int64_t)place, last = job->small_height - 1;
        top = top < last ? top : last;
        int64_t next = top < last ? top + 1 : last;
        float *fields[3] = {across, down, distance};
        for (int i = 0; i < 3; i++) {
            const float *field = job->field + i * small_plane;
            between_rows(field + top * small, field + next * small, place - (float)top, row, small);
            enlarge_row(row, below, share, fields[i], width);
        }
        find_samples(across, down, corner, y, width, job->height);
        sample_row(job->there, corner, across, down, step_x, step_y, moved, width);
        weigh_row(moved, job->own + LAYERS * y * width, distance, 1.0f / job->other_pixel, weight,
                  job->weights + y * width, width);
        float *total = job->total + y * width;
        add_row(weight, moved, total, total + plane, total + 2 * plane, width);
    }
    free(memory);
}

/* Adds the gain of another frame, moved and weighted, to `total`, and its weights to `weights`. `own` and
 * `there` are the layers of two frames, width x height, LAYERS numbers for each pixel; `field` is motion
 * across, motion down and distance, three planes of a size that is `factor` times smaller, rounded up. */
VSHDR_EXPORT void vshdr_add_moved(const float *own, const float *there, int64_t width, int64_t height,
                                  const float *field, int64_t small_width, int64_t small_height, int factor,
                                  float other_pixel, float *total, float *weights, int threads)
{
    struct add_moved job = {own,          there,  field,       width, height, small_width,
                            small_height, factor, other_pixel, total, weights};
    share_rows(add_moved_rows, &job, height, threads);
}
