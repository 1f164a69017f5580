/* Powers and logarithms of whole tensors, for `vshdr/colour/transfer.py` and `vshdr/colour/gain.py`. */

#include "kernels.h"
#include "logarithms.h"

enum { BLOCK = 4096 }; /* numbers that count as one row when work is shared among threads */

struct pointwise {
    const float *first, *second;
    float *out;
    int64_t count;
    float constant;
};

static int64_t blocks_of(int64_t count)
{
    return (count + BLOCK - 1) / BLOCK;
}

FOR_EVERY_CPU static void raise_to(const float *restrict x, float exponent, float *restrict out,
                                   int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float power = exp2_of(exponent * log2_of(x[i]));
        out[i] = x[i] <= 0.0f ? 0.0f : power + (x[i] - x[i]); /* NaN stays NaN */
    }
}

FOR_EVERY_CPU static void find_gain(const float *restrict base, const float *restrict linear, float floor,
                                    float *restrict out, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = log2_of((linear[i] + floor) / (base[i] + floor));
}

FOR_EVERY_CPU static void apply_gain(const float *restrict base, const float *restrict gain, float floor,
                                     float *restrict out, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float light = (base[i] + floor) * exp2_of(gain[i]) - floor;
        out[i] = light < 0.0f ? 0.0f : light;
    }
}

#define ROWS_OF(name, call)                                                                                  \
    static void name##_rows(const void *argument, int64_t first, int64_t end)                                \
    {                                                                                                        \
        const struct pointwise *job = argument;                                                              \
        int64_t from = first * BLOCK, until = end * BLOCK < job->count ? end * BLOCK : job->count;           \
        int64_t count = until - from;                                                                        \
        call;                                                                                                \
    }

ROWS_OF(power, raise_to(job->first + from, job->constant, job->out + from, count))
ROWS_OF(gain, find_gain(job->first + from, job->second + from, job->constant, job->out + from, count))
ROWS_OF(light, apply_gain(job->first + from, job->second + from, job->constant, job->out + from, count))

/* out = max(x, 0)^exponent. */
VSHDR_EXPORT void vshdr_power(const float *x, float exponent, float *out, int64_t count, int threads)
{
    struct pointwise job = {x, 0, out, count, exponent};
    share_rows(power_rows, &job, blocks_of(count), threads);
}

/* out = log2((linear + floor) / (base + floor)); neither may be negative. */
VSHDR_EXPORT void vshdr_gain(const float *base, const float *linear, float floor, float *out, int64_t count,
                             int threads)
{
    struct pointwise job = {base, linear, out, count, floor};
    share_rows(gain_rows, &job, blocks_of(count), threads);
}

/* out = max((base + floor) * 2^gain - floor, 0). */
VSHDR_EXPORT void vshdr_apply_gain(const float *base, const float *gain, float floor, float *out,
                                   int64_t count, int threads)
{
    struct pointwise job = {base, gain, out, count, floor};
    share_rows(light_rows, &job, blocks_of(count), threads);
}
