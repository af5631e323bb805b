/* A channel of c-ares in a loop.
 *
 * c-ares announces its descriptors by resolver_watch(), inside of any of its
 * functions, and accepts no report that one cannot be watched.  All queries end
 * then, which makes it close all descriptors. */

#include "cares_channel.h"

#include <stdlib.h>

#define TIMEOUT_MAX_NS ALOOP_SEC(3600)

struct cares_watch {
    struct cares_watch *next;
    aloop_poll *poll;
};

/* Restarts the timer.  The time is rounded up, and one millisecond is added,
 * because c-ares compares with a clock of its own; the timer would expire many
 * times before c-ares finds something to do. */
void cares_update(cares_resolver *resolver)
{
    do {
        struct timeval left, *wait;
        int error;

        if (resolver->error != 0)
            ares_cancel(resolver->channel);
        resolver->error = 0;
        wait = ares_timeout(resolver->channel, NULL, &left);
        error = wait == NULL ? aloop_timer_stop(resolver->timer)
                             : aloop_timer_restart(resolver->timer,
                                                   ALOOP_SEC(wait->tv_sec) +
                                                       ALOOP_US(wait->tv_usec) +
                                                       ALOOP_MS(1));
        if (error < 0)
            resolver->error = error;
    } while (resolver->error != 0);
}

static void resolver_due(aloop_timer *timer, void *arg)
{
    cares_resolver *resolver = arg;

    (void) timer;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    cares_update(resolver);
}

static void resolver_ready(aloop_poll *poll, unsigned events, void *arg)
{
    cares_resolver *resolver = arg;
    ares_socket_t fd = aloop_poll_fd(poll);

    ares_process_fd(resolver->channel,
                    (events & ALOOP_POLL_READABLE) ? fd : ARES_SOCKET_BAD,
                    (events & ALOOP_POLL_WRITABLE) ? fd : ARES_SOCKET_BAD);
    cares_update(resolver);
}

static ssize_t watch_begin(cares_resolver *resolver, ares_socket_t fd,
                           unsigned events)
{
    struct cares_watch *watch = calloc(1, sizeof *watch);
    int error;

    if (watch == NULL)
        return ALOOP_ENOMEM;
    error = aloop_poll_start(resolver->loop, fd, events, resolver_ready,
                             resolver, &watch->poll);
    if (error < 0) {
        free(watch);
        return error;
    }
    aloop_poll_unref(watch->poll); /* The operations keep the loop alive. */
    watch->next = resolver->watches;
    resolver->watches = watch;
    return 0;
}

static void watch_end(struct cares_watch **link)
{
    struct cares_watch *watch = *link;

    *link = watch->next;
    aloop_poll_close(watch->poll);
    free(watch);
}

/* Changes what is watched of a descriptor; nothing before it is closed. */
static void resolver_watch(void *arg, ares_socket_t fd, int is_read,
                           int is_written)
{
    cares_resolver *resolver = arg;
    struct cares_watch **link = &resolver->watches;
    unsigned events = (is_read ? ALOOP_POLL_READABLE : 0u) |
                      (is_written ? ALOOP_POLL_WRITABLE : 0u);
    ssize_t error;

    while (*link != NULL && aloop_poll_fd((*link)->poll) != fd)
        link = &(*link)->next;
    if (*link != NULL)
        watch_end(link);
    error = events != 0 ? watch_begin(resolver, fd, events) : 0;
    if (error < 0)
        resolver->error = error;
}

/* c-ares doubles the time with each try, in an int. */
static int timeout_ms(int64_t timeout_ns)
{
    return timeout_ns > TIMEOUT_MAX_NS
               ? (int) (TIMEOUT_MAX_NS / ALOOP_MS(1))
               : (int) ((timeout_ns + ALOOP_MS(1) - 1) / ALOOP_MS(1));
}

static ssize_t set_servers(cares_resolver *resolver, const char *servers)
{
    int code = servers[0] == '\0'
                   ? ARES_EBADSTR
                   : ares_set_servers_ports_csv(resolver->channel, servers);

    return code == ARES_SUCCESS  ? 0
           : code == ARES_ENOMEM ? ALOOP_ENOMEM
                                 : ALOOP_EINVAL;
}

ssize_t cares_resolver_new(aloop *loop, const cares_options *options,
                           cares_resolver **ret)
{
    static const cares_options defaults = {0};
    const cares_options *set = options != NULL ? options : &defaults;
    cares_resolver *resolver = calloc(1, sizeof *resolver);
    char dns_only[] = "b";
    struct ares_options ares = {.sock_state_cb = resolver_watch,
                                .sock_state_cb_data = resolver,
                                .timeout = timeout_ms(set->timeout_ns),
                                .tries = set->tries,
                                .lookups = dns_only};
    int mask = ARES_OPT_SOCK_STATE_CB |
               (set->timeout_ns > 0 ? ARES_OPT_TIMEOUTMS : 0) |
               (set->tries > 0 ? ARES_OPT_TRIES : 0) |
               (set->is_dns_only ? ARES_OPT_LOOKUPS : 0);
    ssize_t error = 0;

    *ret = NULL;
    if (resolver == NULL)
        return ALOOP_ENOMEM;
    resolver->loop = loop;
    resolver->timer = aloop_timer_new(loop, resolver_due, resolver);
    if (ares_init_options(&resolver->channel, &ares, mask) != ARES_SUCCESS)
        resolver->channel = NULL;
    if (resolver->timer == NULL || resolver->channel == NULL)
        error = ALOOP_ENOMEM;
    else if (set->servers != NULL)
        error = set_servers(resolver, set->servers);
    if (error < 0) {
        cares_resolver_free(resolver);
        return error;
    }
    aloop_timer_unref(resolver->timer);
    *ret = resolver;
    return 0;
}

void cares_resolver_free(cares_resolver *resolver)
{
    if (resolver == NULL)
        return;
    if (resolver->channel != NULL)
        ares_destroy(resolver->channel); /* Calls all queries back. */
    aloop_timer_close(resolver->timer);
    free(resolver);
}
