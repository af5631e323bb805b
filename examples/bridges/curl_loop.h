/* A multi handle of libcurl in a loop: the lower half of the bridge, on which
 * curl_client.h makes transfers operations.
 *
 * libcurl announces the descriptors and the time that it waits for, and is
 * called when there is something to do.  It may fail to be watched, when memory
 * is exhausted; `error` has the reason then. */

#ifndef BRIDGES_CURL_LOOP_H
#define BRIDGES_CURL_LOOP_H

#include <aloop.h>
#include <curl/curl.h>

enum {
    CURL_LOOP_HOST_MAX = 6,  /* Connections to one host. */
    CURL_LOOP_KEPT_MIN = 100 /* Connections that may be kept. */
};

struct curl_loop {
    CURLM *multi;
    /* libcurl runs, and perhaps a callback of the user inside it.  It refuses
     * most calls then. */
    bool is_inside;
    /* Not 0: libcurl is not called as it should be any more, and all transfers
     * have to end.  The owner sets it to 0 again. */
    ssize_t error;

    /* The rest belongs to this module. */
    aloop *loop;
    aloop_timer *timer;
    void (*on_action)(struct curl_loop *curl);
    int kept_max; /* Connections that libcurl keeps. */
};

/**
 * Opens a multi handle.
 *
 * `on_action` is called each time after libcurl has worked, when transfers may
 * have ended or `error` may have been set.
 *
 * Returns: 0.
 * Errors:  ALOOP_ENOMEM: out of memory.
 * Memory:  the caller calls curl_loop_close() in each case.
 */
int curl_loop_open(struct curl_loop *curl, aloop *loop,
                   void (*on_action)(struct curl_loop *curl));

/* Closes the multi handle, which has no transfers any more. */
void curl_loop_close(struct curl_loop *curl);

/* Sets the options of each transfer that suit a loop. */
void curl_loop_set_options(CURL *easy);

/* Returns the error of the library for a result of libcurl. */
static inline ssize_t curl_loop_error(CURLMcode code)
{
    return code == CURLM_OK              ? 0
           : code == CURLM_OUT_OF_MEMORY ? ALOOP_ENOMEM
                                         : ALOOP_EINVAL;
}

#endif
