/* Rows shared among threads. The threads live for one call only: starting one takes microseconds, and a pool
 * of threads would have to be shut down with the process. */

#include <pthread.h>

#include "kernels.h"

enum { MOST_THREADS = 16, LEAST_ROWS = 32 }; /* rows per thread, at least */

struct part {
    rows_function work;
    const void *job;
    int64_t first, end;
};

static void *run(void *argument)
{
    const struct part *part = argument;
    part->work(part->job, part->first, part->end);
    return NULL;
}

void share_rows(rows_function work, const void *job, int64_t rows, int threads)
{
    int64_t most = rows / LEAST_ROWS;
    int64_t count = threads < MOST_THREADS ? threads : MOST_THREADS;
    count = count < most ? count : most;
    struct part parts[MOST_THREADS];
    pthread_t made[MOST_THREADS];
    int started = 0;
    for (int64_t i = 1; i < count; i++) {
        struct part *part = &parts[started];
        *part = (struct part){work, job, rows * i / count, rows * (i + 1) / count};
        if (pthread_create(&made[started], NULL, run, part) == 0)
            started++;
        else
            run(part); /* no thread could be started, so the work is done here */
    }
    work(job, 0, count > 1 ? rows / count : rows);
    for (int i = 0; i < started; i++)
        pthread_join(made[i], NULL);
}
