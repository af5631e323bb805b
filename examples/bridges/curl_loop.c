/* A multi handle of libcurl in a loop.
 *
 * libcurl calls loop_watch() and loop_set_alarm() inside of almost all of its
 * own functions.  Their errors are not returned to it, because it would refuse
 * to work ever after. */

#include "curl_loop.h"

#include <strings.h>

/* Sets how many connections libcurl keeps.  If there are more, it closes one
 * with each transfer that ends, also while all of them are in use. */
static void set_kept_max(struct curl_loop *curl, int count)
{
    curl->kept_max = count;
    curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, (long) count);
}

/* Lets libcurl work. */
static void act(struct curl_loop *curl, curl_socket_t fd, int events)
{
    ssize_t error;
    int running;

    curl->is_inside = true;
    error = curl_loop_error(
        curl_multi_socket_action(curl->multi, fd, events, &running));
    curl->is_inside = false;
    if (error != 0)
        curl->error = error;
    else if (running > curl->kept_max)
        set_kept_max(curl, running);
    curl->on_action(curl);
}

static void curl_ready(aloop_poll *poll, unsigned events, void *arg)
{
    act(arg, aloop_poll_fd(poll),
        (events & ALOOP_POLL_READABLE ? CURL_CSELECT_IN : 0) |
            (events & ALOOP_POLL_WRITABLE ? CURL_CSELECT_OUT : 0) |
            (events & ALOOP_POLL_ERROR ? CURL_CSELECT_ERR : 0));
}

static void curl_alarm(aloop_timer *timer, void *arg)
{
    (void) timer;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* Watches a descriptor, which has a poll from its first call on.  libcurl may
 * have closed it before the last one. */
static int loop_watch(CURL *easy, curl_socket_t fd, int what, void *arg,
                      void *of_socket)
{
    struct curl_loop *curl = arg;
    aloop_poll *poll = of_socket;
    unsigned events = ((what & CURL_POLL_IN) != 0 ? ALOOP_POLL_READABLE : 0u) |
                      ((what & CURL_POLL_OUT) != 0 ? ALOOP_POLL_WRITABLE : 0u);
    int error = 0;

    (void) easy;
    if (what == CURL_POLL_REMOVE) {
        aloop_poll_close(poll);
    } else if (poll != NULL) {
        error = aloop_poll_set_events(poll, events);
    } else {
        error =
            aloop_poll_start(curl->loop, fd, events, curl_ready, curl, &poll);
        if (error == 0)
            curl_multi_assign(curl->multi, fd, poll);
    }
    if (error < 0)
        curl->error = error;
    return 0;
}

static int loop_set_alarm(CURLM *multi, long delay_ms, void *arg)
{
    struct curl_loop *curl = arg;
    int error = delay_ms < 0
                    ? aloop_timer_stop(curl->timer)
                    : aloop_timer_restart(curl->timer, ALOOP_MS(delay_ms));

    (void) multi;
    if (error < 0)
        curl->error = error;
    return 0;
}

int curl_loop_open(struct curl_loop *curl, aloop *loop,
                   void (*on_action)(struct curl_loop *curl))
{
    *curl = (struct curl_loop){.loop = loop, .on_action = on_action};
    curl->timer = aloop_timer_new(loop, curl_alarm, curl);
    curl->multi = curl_multi_init();
    if (curl->timer == NULL || curl->multi == NULL)
        return ALOOP_ENOMEM;
    aloop_timer_unref(curl->timer); /* Transfers keep the loop alive. */
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, loop_watch);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, loop_set_alarm);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long) CURL_LOOP_HOST_MAX);
    set_kept_max(curl, CURL_LOOP_KEPT_MIN);
    return 0;
}

void curl_loop_close(struct curl_loop *curl)
{
    curl->is_inside = true;
    curl_multi_cleanup(curl->multi); /* Ends the remaining polls. */
    curl->is_inside = false;
    aloop_timer_close(curl->timer);
}

/* A transfer that waits for a connection to share learns that one of http://
 * cannot be shared when the transfer of that connection ends, so that all of
 * them would run one after the other. */
void curl_loop_set_options(CURL *easy)
{
    const char *url = NULL;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    if (url != NULL && strncasecmp(url, "https:", 6) == 0)
        curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
#if CURL_AT_LEAST_VERSION(7, 87, 0)
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}
