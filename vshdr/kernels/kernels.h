/* Loops over pixels, in one pass over memory where PyTorch takes one per operation.
 *
 * This library knows nothing of Python or VapourSynth; `__init__.py` calls it through ctypes. Every function
 * has a twin in PyTorch, which runs where this library cannot (other devices, training). tests/kernels
 * compares the two.
 */
#ifndef VSHDR_KERNELS_H
#define VSHDR_KERNELS_H

#include <stdint.h>

/* Changes with any signature or struct of the library. `__init__.py` has the same number. */
#define VSHDR_KERNELS_ABI 4

#define VSHDR_EXPORT __attribute__((visibility("default")))

/* Red, green and blue of one picture. Rows are `row` floats apart, planes `plane` floats. */
struct planes {
    float *data;
    int64_t plane, row;
};

static inline float *row_of(const struct planes *p, int channel, int64_t y)
{
    return p->data + channel * p->plane + y * p->row;
}

/* Compiles a function once for each generation of x86 processors. The loader chooses the right one. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define FOR_EVERY_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EVERY_CPU
#endif

/* Does rows first to end - 1 of the work that `job` describes. */
typedef void (*rows_function)(const void *job, int64_t first, int64_t end);

/* Splits `rows` among up to `threads` threads, which call `work`, and returns when all are done. */
void share_rows(rows_function work, const void *job, int64_t rows, int threads);

#endif
