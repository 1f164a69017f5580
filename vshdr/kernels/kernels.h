/* Point-wise work on planes of floats, in one pass over memory where PyTorch takes one per operation.
 *
 * A library of its own: it knows nothing of Python or VapourSynth. `__init__.py` calls it; every function
 * here has a twin in PyTorch, which runs where this library does not (other devices, training), and
 * `tests/test_kernels.py` holds the two together.
 */
#ifndef VSHDR_KERNELS_H
#define VSHDR_KERNELS_H

#include <stdint.h>

/* Changes with any signature or struct below; `__init__.py` has the same number. */
#define VSHDR_KERNELS_ABI 4

#define VSHDR_EXPORT __attribute__((visibility("default")))

/* Red, green and blue of one picture: rows of floats, `row` floats apart, the planes `plane` floats apart. */
struct planes {
    float *data;
    int64_t plane, row;
};

static inline float *row_of(const struct planes *p, int channel, int64_t y)
{
    return p->data + channel * p->plane + y * p->row;
}

/* One build of a function for each generation of x86 processors, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define FOR_EVERY_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EVERY_CPU
#endif

/* Does rows first..end-1 of what `job` describes. */
typedef void (*rows_function)(const void *job, int64_t first, int64_t end);

/* Calls `work` for parts of `rows` on up to `threads` threads, and returns when all are done. */
void share_rows(rows_function work, const void *job, int64_t rows, int threads);

#endif
