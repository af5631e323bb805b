/* The benchmark: libaloop compared with the same work by hand and with libuv,
 * libev and libevent.
 *
 *     aloop_bench [--quick] [[--only] TEXT]
 *
 * Everything runs on 127.0.0.1 and ends by itself. */

#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct bench full = {.rounds = 41}, quick = {.rounds = 9};

static int usage(void)
{
    fprintf(stderr,
            "usage: aloop_bench [--quick] [[--only] TEXT]\n"
            "  --quick      takes a sixth of the time, but is less exact\n"
            "  TEXT         only rows with TEXT in their names\n");
    return 2;
}

/* Raises the limit, because each peer has a thousand connections. */
static void raise_limits(void)
{
    struct rlimit limit;

    fail_if(getrlimit(RLIMIT_NOFILE, &limit) < 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 4000)
        fprintf(stderr,
                "aloop_bench: only %llu descriptors; echo on 1000 "
                "connections needs 4000\n",
                (unsigned long long) limit.rlim_cur);
}

int main(int argc, char **argv)
{
    struct bench bench = full;
    const char *only = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            bench = quick;
            bench.is_quick = true;
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else if (argv[i][0] != '-' && only == NULL) {
            only = argv[i];
        } else {
            return usage();
        }
    }
    bench.only = only;
#ifdef BENCH_UV
    bench.has_uv = true;
#else
    printf("libuv was not found (Debian: libuv1-dev); its columns are "
           "empty.\n");
#endif
#ifndef BENCH_EV
    printf("libev was not found (Debian: libev-dev); its column is empty.\n");
#endif
#ifndef BENCH_EVENT
    printf("libevent was not found (Debian: libevent-dev); its column is "
           "empty.\n");
#endif
    raise_limits();
    use_one_processor();
    table_head();
    bench_echo(&bench);
    if (only == NULL && !bench.has_counters)
        printf("%-38s not counted: needs root and tracefs\n",
               "  system calls per message");
    bench_exchange(&bench);
    bench_churn(&bench);
    bench_datagrams(&bench);
    bench_runs(&bench);
    bench_timers(&bench);
    bench_turns(&bench);
    bench_work(&bench);
    bench_files(&bench);
#ifdef BENCH_TLS
    bench_tls(&bench);
#endif
    bench_beside(&bench);
    bench_latency(&bench);
    bench_embedded(&bench);
    bench_tasks(&bench);
    table_end(&bench);
    return 0;
}
