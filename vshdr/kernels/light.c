/* How bright a frame is. `vshdr/media/content_light.py` says what is measured and why. */

#include <stdlib.h>

#include "kernels.h"
#include "logarithms.h"

/* The largest channel of each pixel after `matrix` (three rows of three), clamped to 0..highest. */
FOR_EVERY_CPU static void find_nits(const float *restrict red, const float *restrict green,
                                    const float *restrict blue, const float *restrict matrix, float highest,
                                    float *restrict nits, int64_t width)
{
    const float *m = matrix;
    for (int64_t x = 0; x < width; x++) {
        float r = m[0] * red[x] + m[1] * green[x] + m[2] * blue[x];
        float g = m[3] * red[x] + m[4] * green[x] + m[5] * blue[x];
        float b = m[6] * red[x] + m[7] * green[x] + m[8] * blue[x];
        float largest = r > g ? r : g;
        largest = largest > b ? largest : b;
        largest = largest < 0.0f ? 0.0f : largest;
        nits[x] = largest > highest ? highest : largest;
    }
}

FOR_EVERY_CPU static float brightest_of(const float *restrict nits, int64_t width)
{
    float brightest = 0.0f;
#pragma omp simd reduction(max : brightest)
    for (int64_t x = 0; x < width; x++)
        brightest = nits[x] > brightest ? nits[x] : brightest;
    return brightest;
}

FOR_EVERY_CPU static double sum_of(const float *restrict nits, int64_t width)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t x = 0; x < width; x++)
        sum += (double)nits[x];
    return sum;
}

/* Counts the pixels of one picture of linear light, width x height, in `bins` by their nits: bin 0 is that of
 * `lowest`, and each step of a float's bits without the `dropped` lowest is one more bin. `found` receives
 * the largest value and the sum of all. */
VSHDR_EXPORT void vshdr_measure_light(const struct planes *linear, int64_t width, int64_t height,
                                      const float *matrix, float lowest, float highest, int dropped,
                                      int64_t *bins, double *found)
{
    float *nits = malloc(sizeof *nits * (size_t)width);
    if (!nits)
        abort();
    int32_t first = bits_of(lowest) >> dropped;
    found[0] = found[1] = 0.0;
    for (int64_t y = 0; y < height; y++) {
        find_nits(row_of(linear, 0, y), row_of(linear, 1, y), row_of(linear, 2, y), matrix, highest, nits,
                  width);
        double brightest = (double)brightest_of(nits, width);
        found[0] = brightest > found[0] ? brightest : found[0];
        found[1] += sum_of(nits, width);
        for (int64_t x = 0; x < width; x++) {
            float value = nits[x] > lowest ? nits[x] : lowest; /* and `lowest` for NaN, which has no bin */
            bins[(bits_of(value) >> dropped) - first]++;
        }
    }
    free(nits);
}
