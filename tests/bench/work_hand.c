/* One thread that waits on a condition, and a loop that waits for an
 * eventfd. */

#include "work.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t given;
    size_t jobs; /* That the thread has not taken. */
    size_t done; /* That the loop has not received. */
    bool is_over;
    int fd;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .given = PTHREAD_COND_INITIALIZER};

static void *run_jobs(void *arg)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&pool.mutex);
    while (!pool.is_over) {
        if (pool.jobs == 0) {
            pthread_cond_wait(&pool.given, &pool.mutex);
            continue;
        }
        pool.jobs--;
        pthread_mutex_unlock(&pool.mutex);
        /* The work would be here. */
        pthread_mutex_lock(&pool.mutex);
        if (pool.done++ == 0)
            fail_if(write(pool.fd, &one, sizeof one) < 0, "writing");
    }
    pthread_mutex_unlock(&pool.mutex);
    return arg;
}

static void do_batch(size_t batch)
{
    pthread_mutex_lock(&pool.mutex);
    pool.jobs += batch;
    pthread_mutex_unlock(&pool.mutex);
    pthread_cond_signal(&pool.given);
    for (size_t received = 0; received < batch;) {
        uint64_t wakes;

        fail_if(read(pool.fd, &wakes, sizeof wakes) < 0, "reading");
        pthread_mutex_lock(&pool.mutex);
        received += pool.done;
        pool.done = 0;
        pthread_mutex_unlock(&pool.mutex);
    }
}

static void run_all(size_t count, size_t batch)
{
    pthread_t thread;

    pool.fd = eventfd(0, EFD_CLOEXEC);
    fail_if(pool.fd < 0, "eventfd");
    fail_if(pthread_create(&thread, NULL, run_jobs, NULL) != 0, "a thread");
    for (size_t done = 0; done < count; done += batch)
        do_batch(batch);
    pthread_mutex_lock(&pool.mutex);
    pool.is_over = true;
    pthread_mutex_unlock(&pool.mutex);
    pthread_cond_signal(&pool.given);
    pthread_join(thread, NULL);
    close(pool.fd);
}

const work_peer work_hand = run_all;
