/* A program that unloads the library while a look-up hangs.  The thread of the
 * look-up returns into the library's code afterwards.
 *
 *     usage: unload LIBRARY
 *
 * The resolver of the system is replaced by a function of this program. */

#define _XOPEN_SOURCE 700

#include <aloop.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "support/threads.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_inside, may_return;

/* It is exported, so that the library finds it first. */
int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **ret)
{
    (void) host;
    (void) port;
    (void) hints;
    (void) ret;
    pthread_mutex_lock(&mutex);
    is_inside = true;
    pthread_cond_broadcast(&changed);
    while (!may_return)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return EAI_AGAIN;
}

static void *library;

/* Sets *ret_function, a pointer to a function. */
static bool find(const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);

    memcpy(ret_function, &symbol, sizeof symbol);
    if (symbol == NULL)
        printf("%s is missing\n", name);
    return symbol != NULL;
}

static bool leave_look_up(void)
{
    aloop *(*new_loop)(const aloop_options *options);
    aloop_future *(*tcp_connect)(aloop * loop, const char *host,
                                 const char *port, aloop_stream **ret_stream);
    void (*detach)(aloop_future * future);
    int (*step)(aloop * loop, int64_t max_wait_ns);
    int (*free_loop)(aloop * loop);
    aloop_stream *stream;
    aloop *loop;

    if (!find("aloop_new", &new_loop) ||
        !find("aloop_tcp_connect", &tcp_connect) ||
        !find("aloop_detach", &detach) || !find("aloop_step", &step) ||
        !find("aloop_free", &free_loop))
        return false;
    loop = new_loop(NULL);
    if (loop == NULL)
        return false;
    detach(tcp_connect(loop, "host.test", "1", &stream));
    step(loop, 0);
    pthread_mutex_lock(&mutex);
    while (!is_inside)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return free_loop(loop) == 0;
}

int main(int argc, char **argv)
{
    int threads = count_threads();

    if (argc != 2 || (library = dlopen(argv[1], RTLD_NOW)) == NULL) {
        puts("the library cannot be loaded");
        return 1;
    }
    if (!leave_look_up() || dlclose(library) != 0)
        return 1;
    pthread_mutex_lock(&mutex);
    may_return = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    while (count_threads() > threads)
        sched_yield();
    return 0;
}
