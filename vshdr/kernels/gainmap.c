/* The work of `gainmap` on pixels, before and after its network. `vshdr/models/gainmap.py` says what it does
 * and why. */

#include <stdlib.h>

#include "kernels.h"
#include "logarithms.h"

enum { KNOTS = 5, GUIDES = 2 };

/* 0 up to `low`, then rising by `scale` per unit to 1. */
static inline __attribute__((always_inline)) float ramp(float code, float low, float scale)
{
    float share = (code - low) * scale;
    share = share < 0.0f ? 0.0f : share;
    return share > 1.0f ? 1.0f : share;
}

/* ---- The picture at half its sides ---- */

struct reduce {
    const struct planes *sdr, *reduced;
    int64_t width, height;
};

FOR_EVERY_CPU static void average_pairs(const float *restrict above, const float *restrict below,
                                        float *restrict out, int64_t count)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = 0.25f * (((above[2 * x] + above[2 * x + 1]) + below[2 * x]) + below[2 * x + 1]);
}

static void reduce_rows(const void *argument, int64_t first, int64_t end)
{
    const struct reduce *job = argument;
    for (int channel = 0; channel < 3; channel++) {
        for (int64_t y = first; y < end; y++) {
            const float *above = row_of(job->sdr, channel, 2 * y);
            const float *below = 2 * y + 1 < job->height ? row_of(job->sdr, channel, 2 * y + 1) : above;
            float *out = row_of(job->reduced, channel, y);
            average_pairs(above, below, out, job->width / 2);
            if (job->width % 2)
                out[job->width / 2] = 0.5f * (above[job->width - 1] + below[job->width - 1]);
        }
    }
}

/* Averages 2 x 2 pixels of `sdr`, width x height. An odd last row or column is averaged in pairs. */
VSHDR_EXPORT void vshdr_reduce(const struct planes *sdr, const struct planes *reduced, int64_t width,
                               int64_t height, int threads)
{
    struct reduce job = {sdr, reduced, width, height};
    share_rows(reduce_rows, &job, (height + 1) / 2, threads);
}

/* ---- The distribution of code values ---- */

FOR_EVERY_CPU static float sum_within(const float *restrict values, int64_t count, float low, float high)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
        float value = values[i] < low ? low : values[i];
        sum += (value > high ? high : value) - low;
    }
    return sum;
}

/* shares[i] is the mean of a ramp over `values`: 0 up to levels[i], 1 from levels[i + 1] on. */
VSHDR_EXPORT void vshdr_shares_above(const float *values, int64_t count, const float *levels, int ramps,
                                     float *shares)
{
    /* A block stays in the nearest cache, and is short enough to be summed up in float. */
    enum { BLOCK = 4096, MOST = 64 };
    double sums[MOST] = {0};
    ramps = ramps < MOST ? ramps : MOST;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t length = count - start < BLOCK ? count - start : BLOCK;
        for (int i = 0; i < ramps; i++)
            sums[i] += sum_within(values + start, length, levels[i], levels[i + 1]);
    }
    for (int i = 0; i < ramps; i++)
        shares[i] = (float)(sums[i] / ((levels[i + 1] - levels[i]) * (double)count));
}

/* ---- The curves ---- */

/* How the light of a clipped channel is told from the other channels, as in `told_by_others` of
 * vshdr/models/ratios.py: the code values between which they begin to count, the exponent from code values to
 * light, and the code value below which stops are not told apart. */
struct trust {
    float low, high, exponent, darkest;
};

struct look_up {
    const float *coefficients; /* [GUIDES][3 channels][KNOTS] and 2 ratios, each [cells_high][cells_wide] */
    const struct planes *reduced, *gain;
    int64_t cells_wide, cells_high;
    int64_t fold; /* pixels per cell, in each direction; even */
    float knots[KNOTS], softest, strongest;
    struct trust trust;
};

/* A row between two rows of cells, `share` of the way down, enlarged to pixels. `cells` has room for one more
 * cell on either side, `out` for half a cell. */
FOR_EVERY_CPU static void enlarge_cells(const float *restrict above, const float *restrict below, float share,
                                        float *restrict cells, float *restrict out, int64_t count,
                                        int64_t fold)
{
    for (int64_t k = 0; k < count; k++)
        cells[k] = above[k] + share * (below[k] - above[k]);
    cells[-1] = cells[0];
    cells[count] = cells[count - 1];
    for (int64_t k = -1; k < count; k++) {
        float from = cells[k], step = cells[k + 1] - from;
        float *between = out + fold * k + fold / 2;
        for (int64_t i = 0; i < fold; i++)
            between[i] = from + ((float)i + 0.5f) / (float)fold * step;
    }
}

FOR_EVERY_CPU static void add_smallest(const float *restrict red, const float *restrict green,
                                       const float *restrict blue, float *restrict sum, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float smallest = red[x] < green[x] ? red[x] : green[x];
        sum[x] += smallest < blue[x] ? smallest : blue[x];
    }
}

FOR_EVERY_CPU static void average_of_nine(float *restrict sum, float *restrict out, int64_t width)
{
    sum[-1] = sum[0];
    sum[width] = sum[width - 1];
    for (int64_t x = 0; x < width; x++)
        out[x] = (sum[x - 1] + sum[x] + sum[x + 1]) / 9.0f;
}

/* Adds to `gain` the value at `code` of each pixel's curve, whose values at the knots lie in rows, `pitch`
 * apart. */
FOR_EVERY_CPU static void add_curve(const float *restrict values, int64_t pitch, const float *restrict code,
                                    const float *restrict knots, float *restrict gain, int64_t width)
{
    float scale[KNOTS - 1];
    for (int i = 0; i < KNOTS - 1; i++)
        scale[i] = 1.0f / (knots[i + 1] - knots[i]);
    for (int64_t x = 0; x < width; x++) {
        float value = values[x];
        for (int i = 0; i < KNOTS - 1; i++) {
            float share = ramp(code[x], knots[i], scale[i]);
            value += share * (values[(i + 1) * pitch + x] - value);
        }
        gain[x] += value;
    }
}

/* Writes the light of a row in stops, as its code says, and `sign` times `ratio` stops above that. */
FOR_EVERY_CPU static void find_bound(const float *restrict code, const float *restrict ratio, float sign,
                                     const struct trust *restrict trust, float *restrict bound, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float seen = code[x] < trust->darkest ? trust->darkest : code[x];
        bound[x] = trust->exponent * log2_of(seen) + sign * ratio[x];
    }
}

FOR_EVERY_CPU static void find_highest(const float *restrict red, const float *restrict green,
                                       const float *restrict blue, float *restrict highest, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float higher = red[x] > green[x] ? red[x] : green[x];
        highest[x] = higher > blue[x] ? higher : blue[x];
    }
}

/* Adds to `gain` how far the highest bound of a pixel lies above that of this channel, `own`. */
FOR_EVERY_CPU static void add_told(const float *restrict code, const float *restrict own,
                                   const float *restrict highest, const struct trust *restrict trust,
                                   float *restrict gain, int64_t width)
{
    float scale = 1.0f / (trust->high - trust->low);
    for (int64_t x = 0; x < width; x++)
        gain[x] += ramp(code[x], trust->low, scale) * (highest[x] - own[x]);
}

FOR_EVERY_CPU static void limit(float *restrict gain, float low, float high, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float value = gain[x] < low ? low : gain[x];
        gain[x] = value > high ? high : value;
    }
}

/* The smallest channel of each pixel of row `y`, averaged over 3 x 3 pixels. `sums` has room for one more on
 * either side. */
static void smooth_smallest(const struct planes *picture, int64_t y, float *sums, float *smallest,
                            int64_t width, int64_t height)
{
    memset(sums, 0, sizeof(float) * (size_t)width);
    for (int64_t near = y - 1; near <= y + 1; near++) {
        int64_t seen = near < 0 ? 0 : near < height ? near : height - 1;
        add_smallest(row_of(picture, 0, seen), row_of(picture, 1, seen), row_of(picture, 2, seen), sums,
                     width);
    }
    average_of_nine(sums, smallest, width);
}

/* Row `y` of coefficient `index`, enlarged: interpolated between the centres of the cells around each pixel.
 */
static void enlarge_coefficient(const struct look_up *job, int64_t index, int64_t y, float *cells, float *out)
{
    int64_t fold = job->fold, wide = job->cells_wide, high = job->cells_high;
    const float *values = job->coefficients + index * wide * high;
    int64_t above = (y + fold / 2) / fold - 1, below = above + 1;
    float share = ((float)((y + fold / 2) % fold) + 0.5f) / (float)fold;
    above = above < 0 ? 0 : above;
    below = below < high ? below : high - 1;
    enlarge_cells(values + above * wide, values + below * wide, share, cells, out, wide, fold);
}

static void look_up_rows(const void *argument, int64_t first, int64_t end)
{
    const struct look_up *job = argument;
    int64_t fold = job->fold, wide = job->cells_wide, width = fold * wide, height = fold * job->cells_high;
    int64_t pitch = width + fold;
    float *memory = malloc(sizeof(float) * (size_t)((wide + 2) + KNOTS * pitch + (width + 2) + 5 * width));
    if (!memory)
        abort();
    float *cells = memory + 1; /* one more on either side, as for `sums` */
    float *curve = memory + wide + 2 + fold / 2, *sums = memory + wide + 2 + KNOTS * pitch + 1;
    float *smallest = sums + width + 1, *highest = smallest + width;
    float *bounds[3] = {highest + width, highest + 2 * width, highest + 3 * width};
    for (int64_t y = first; y < end; y++) {
        const float *codes[3];
        smooth_smallest(job->reduced, y, sums, smallest, width, height);
        for (int channel = 0; channel < 3; channel++) { /* ratios: red over green, green over blue */
            codes[channel] = row_of(job->reduced, channel, y);
            enlarge_coefficient(job, GUIDES * 3 * KNOTS + (channel == 2), y, cells, curve);
            find_bound(codes[channel], curve, (float)(channel - 1), &job->trust, bounds[channel], width);
        }
        find_highest(bounds[0], bounds[1], bounds[2], highest, width);
        for (int channel = 0; channel < 3; channel++) {
            float *gain = row_of(job->gain, channel, y);
            memset(gain, 0, sizeof(float) * (size_t)width);
            const float *guides[GUIDES] = {codes[channel], smallest};
            for (int guide = 0; guide < GUIDES; guide++) {
                for (int knot = 0; knot < KNOTS; knot++)
                    enlarge_coefficient(job, (guide * 3 + channel) * KNOTS + knot, y, cells,
                                        curve + knot * pitch);
                add_curve(curve, pitch, guides[guide], job->knots, gain, width);
            }
            add_told(codes[channel], bounds[channel], highest, &job->trust, gain, width);
            limit(gain, job->softest, job->strongest, width);
        }
    }
    free(memory);
}

/* Gain in stops at half size. `coefficients` belong to one picture and lie without gaps. `reduced` and `gain`
 * have `fold` pixels, an even number, per cell in each direction. */
VSHDR_EXPORT void vshdr_look_up(const float *coefficients, int64_t cells_wide, int64_t cells_high,
                                int64_t fold, const struct planes *reduced, const float *knots, float softest,
                                float strongest, const struct trust *trust, const struct planes *gain,
                                int threads)
{
    struct look_up job = {coefficients, reduced, gain,    cells_wide, cells_high,
                          fold,         {0},     softest, strongest,  *trust};
    memcpy(job.knots, knots, sizeof job.knots);
    share_rows(look_up_rows, &job, fold * cells_high, threads);
}

/* ---- Light at full size ---- */

struct brighten {
    const struct planes *gain, *sdr, *linear;
    int64_t width, height;
    float fade_from, fade_to, exponent;
    int srgb;
};

/* A row of the gain between two rows of half size, enlarged. `half` has room for one more on either side. */
FOR_EVERY_CPU static void enlarge_gain(const float *restrict near, const float *restrict far,
                                       float *restrict half, float *restrict out, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        half[k] = 0.75f * near[k] + 0.25f * far[k];
    half[-1] = half[0];
    half[count] = half[count - 1];
    for (int64_t k = 0; k < count; k++) {
        out[2 * k] = 0.25f * half[k - 1] + 0.75f * half[k];
        out[2 * k + 1] = 0.75f * half[k] + 0.25f * half[k + 1];
    }
}

FOR_EVERY_CPU static void find_fade(const float *restrict red, const float *restrict green,
                                    const float *restrict blue, float from, float to, float *restrict fade,
                                    int64_t width)
{
    float scale = 1.0f / (to - from);
    for (int64_t x = 0; x < width; x++) {
        float largest = red[x] > green[x] ? red[x] : green[x];
        largest = largest > blue[x] ? largest : blue[x];
        float share = ramp(largest, from, scale);
        fade[x] = share * share * (3.0f - 2.0f * share);
    }
}

/* code^exponent * 2^(gain * fade). */
FOR_EVERY_CPU static void expand_power(const float *restrict code, const float *restrict gain,
                                       const float *restrict fade, float exponent, float *restrict light,
                                       int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float value = exp2_of(exponent * log2_of(code[x]) + gain[x] * fade[x]);
        light[x] = code[x] <= 0.0f ? 0.0f : value; /* a comparison that keeps NaN */
    }
}

/* The same with the curve of IEC 61966-2-1. */
FOR_EVERY_CPU static void expand_srgb(const float *restrict code, const float *restrict gain,
                                      const float *restrict fade, float *restrict light, int64_t width)
{
    for (int64_t x = 0; x < width; x++) {
        float straight = code[x] * (1.0f / 12.92f);
        float curved = exp2_of(2.4f * log2_of((code[x] + 0.055f) * (1.0f / 1.055f)));
        light[x] = (code[x] <= 0.04045f ? straight : curved) * exp2_of(gain[x] * fade[x]);
    }
}

static void brighten_rows(const void *argument, int64_t first, int64_t end)
{
    const struct brighten *job = argument;
    int64_t width = job->width, half_width = width / 2, half_height = job->height / 2;
    float *half = malloc(sizeof(float) * (size_t)((half_width + 2) + 2 * width));
    if (!half)
        abort();
    float *gain = half + half_width + 2, *fade = gain + width;
    for (int64_t y = first; y < end; y++) {
        int64_t near = y / 2, far = y % 2 ? near + 1 : near - 1;
        far = far < 0 ? 0 : far < half_height ? far : half_height - 1;
        const float *red = row_of(job->sdr, 0, y), *green = row_of(job->sdr, 1, y),
                    *blue = row_of(job->sdr, 2, y);
        find_fade(red, green, blue, job->fade_from, job->fade_to, fade, width);
        for (int channel = 0; channel < 3; channel++) {
            const float *code = row_of(job->sdr, channel, y);
            float *light = row_of(job->linear, channel, y);
            enlarge_gain(row_of(job->gain, channel, near), row_of(job->gain, channel, far), half + 1, gain,
                         half_width);
            if (job->srgb)
                expand_srgb(code, gain, fade, light, width);
            else
                expand_power(code, gain, fade, job->exponent, light, width);
        }
    }
    free(half);
}

/* Linear light of `sdr`, width x height, both even, brightened by `gain`, of half that size. `exponent` is
 * that of the SDR display's curve, or 0 for the curve of sRGB. */
VSHDR_EXPORT void vshdr_brighten(const struct planes *gain, const struct planes *sdr, int64_t width,
                                 int64_t height, float fade_from, float fade_to, float exponent,
                                 const struct planes *linear, int threads)
{
    struct brighten job = {gain, sdr, linear, width, height, fade_from, fade_to, exponent, exponent == 0.0f};
    share_rows(brighten_rows, &job, height, threads);
}
