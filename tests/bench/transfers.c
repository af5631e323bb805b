/* Fetches pages with libcurl, in a loop of this library or in libcurl's own,
 * for bridges.sh.
 *
 *     usage: aloop_transfers aloop|own COUNT URL
 *
 * One hundred handles fetch COUNT times together, over a connection each.
 * Prints the transfers per second of CPU time. */

#include <aloop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bridges/curl_client.h"

enum { HANDLES = 100 };

static long started, wanted, completed;
static CURL *handles[HANDLES];
static curl_client *client;

static size_t ignore_data(char *data, size_t size, size_t count, void *arg)
{
    (void) data;
    (void) arg;
    return size * count;
}

static void make_handles(const char *url)
{
    for (int i = 0; i < HANDLES; i++) {
        handles[i] = curl_easy_init();
        if (handles[i] == NULL)
            exit(1);
        curl_easy_setopt(handles[i], CURLOPT_URL, url);
        curl_easy_setopt(handles[i], CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handles[i], CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(handles[i], CURLOPT_WRITEFUNCTION, ignore_data);
    }
}

/* In a loop of this library. */

static ssize_t worker(aloop *loop, void *arg)
{
    (void) loop;
    while (started < wanted) {
        ssize_t status;

        started++;
        status = aloop_await(curl_fetch(client, *(CURL **) arg));
        if (status < 0)
            return status;
        completed++;
    }
    return 0;
}

static ssize_t amain(aloop *loop, void *arg)
{
    ssize_t status;

    (void) arg;
    client = curl_client_new(loop);
    if (client == NULL)
        return ALOOP_ENOMEM;
    curl_multi_setopt(curl_client_multi(client), CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long) HANDLES);
    status = aloop_await(
        aloop_map(loop, worker, handles, HANDLES, sizeof handles[0], HANDLES));
    curl_client_free(client);
    return status;
}

/* In libcurl's own. */

static void begin(CURLM *multi, CURL *easy)
{
    if (started < wanted) {
        started++;
        curl_multi_add_handle(multi, easy);
    }
}

static void run_own(void)
{
    CURLM *multi = curl_multi_init();
    int running = 1, left;

    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long) HANDLES);
    for (int i = 0; i < HANDLES; i++) {
        curl_easy_setopt(handles[i], CURLOPT_PIPEWAIT, 1L);
        begin(multi, handles[i]);
    }
    while (completed < wanted) {
        CURLMsg *message;

        if (curl_multi_perform(multi, &running) != CURLM_OK)
            exit(1);
        while ((message = curl_multi_info_read(multi, &left)) != NULL) {
            CURL *easy = message->easy_handle;

            if (message->data.result != CURLE_OK)
                exit(1);
            completed++;
            curl_multi_remove_handle(multi, easy);
            begin(multi, easy);
        }
        if (completed < wanted &&
            curl_multi_poll(multi, NULL, 0, 1000, NULL) != CURLM_OK)
            exit(1);
    }
    curl_multi_cleanup(multi);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    double seconds;

    wanted = argc == 4 ? atol(argv[2]) : 0;
    if (wanted <= 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return 2;
    make_handles(argv[3]);
    if (strcmp(argv[1], "own") == 0)
        run_own();
    else if (aloop_main(amain, NULL) < 0)
        return 1;
    for (int i = 0; i < HANDLES; i++)
        curl_easy_cleanup(handles[i]);
    curl_global_cleanup();
    getrusage(RUSAGE_SELF, &usage);
    seconds = (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
              (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%.0f\n", (double) completed / seconds);
    return completed != wanted;
}
