/* The last pass over a frame: finds values that are not finite and rolls bright ones off below the peak. */

#include <stdatomic.h>

#include "kernels.h"
#include "logarithms.h"

struct settle {
    const struct planes *linear, *out;
    int64_t width;
    float start, slope, ceiling;
    atomic_int strange; /* whether a value was not finite */
};

/* Sets negative values to 0. Returns whether one is infinite or not a number. */
FOR_EVERY_CPU static int floor_row(const float *light, float *out, int64_t width)
{
    int32_t strange = 0;
#pragma omp simd reduction(| : strange)
    for (int64_t x = 0; x < width; x++) {
        strange |= (bits_of(light[x]) & 0x7f800000) == 0x7f800000;
        out[x] = light[x] < 0.0f ? 0.0f : light[x];
    }
    return strange;
}

/* `RollOff` of vshdr/colour/roll_off.py: where the largest channel x is above `start`, it becomes start +
 * (1 - e^(-slope (x - start))) / slope, and the other channels are scaled by the same factor. */
FOR_EVERY_CPU static void roll_off(float *restrict red, float *restrict green, float *restrict blue,
                                   float start, float slope, float ceiling, int64_t width)
{
    float steepness = -1.4426950408889634f * slope, reach = 1.0f / slope;
    for (int64_t x = 0; x < width; x++) {
        float largest = red[x] > green[x] ? red[x] : green[x];
        largest = largest > blue[x] ? largest : blue[x];
        float over = largest - start, power = steepness * over;
        /* For small p, 1 - 2^p would be a difference of nearly equal numbers. */
        float fallen = power > -0.5f ? -exp2_less_one(power) : 1.0f - exp2_of(power);
        float factor = over > 0.0f ? (start + fallen * reach) / largest : 1.0f;
        float r = red[x] * factor, g = green[x] * factor, b = blue[x] * factor;
        red[x] = r < ceiling ? r : ceiling;
        green[x] = g < ceiling ? g : ceiling;
        blue[x] = b < ceiling ? b : ceiling;
    }
}

static void settle_rows(const void *argument, int64_t first, int64_t end)
{
    struct settle *job = (struct settle *)argument;
    int strange = 0;
    for (int64_t y = first; y < end; y++) {
        float *rows[3];
        for (int channel = 0; channel < 3; channel++) {
            rows[channel] = row_of(job->out, channel, y);
            strange |= floor_row(row_of(job->linear, channel, y), rows[channel], job->width);
        }
        roll_off(rows[0], rows[1], rows[2], job->start, job->slope, job->ceiling, job->width);
    }
    if (strange)
        atomic_store(&job->strange, 1);
}

/* Writes `linear`, width x height, to `out`, which may be the same. Returns 1 if all values were finite,
 * otherwise 0. */
VSHDR_EXPORT int vshdr_limit_and_roll_off(const struct planes *linear, const struct planes *out,
                                          int64_t width, int64_t height, float start, float slope,
                                          float ceiling, int threads)
{
    struct settle job = {linear, out, width, start, slope, ceiling, 0};
    share_rows(settle_rows, &job, height, threads);
    return !atomic_load(&job.strange);
}

VSHDR_EXPORT int vshdr_kernels_abi(void)
{
    return VSHDR_KERNELS_ABI;
}
