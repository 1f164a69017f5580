/* Rows shared among threads. They live for one call: making one costs microseconds, and a pool that outlives
 * its process's last frame is a pool that must be taken down. */

#include <pthread.h>

#include "kernels.h"

enum { MOST_THREADS = 16, LEAST_ROWS = 32 };

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
            run(part); /* no thread to be had: the work is done all the same */
    }
    work(job, 0, count > 1 ? rows / count : rows);
    for (int i = 0; i < started; i++)
        pthread_join(made[i], NULL);
}
