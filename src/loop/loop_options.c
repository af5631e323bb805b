/* The options of a loop, and their defaults. */

#include "loop/loop_options.h"

#include "base/options.h"
#include "loop/report.h"
#include "os/sys.h"

/* The default of `work_threads` depends on the processors and is found in
 * pool.c. */
enum { FILE_THREADS = 4, RESOLVER_THREADS = 4 };

static int64_t system_clock(void *context)
{
    (void) context;
    return aloop__sys_clock_ns();
}

/* A new field is added here as well; OPTIONS_LAST fails to compile
 * otherwise. */
static const struct options_field loop_option_fields[] = {
    OPTIONS_FIELD(aloop_options, size),
    OPTIONS_FIELD(aloop_options, resize),
    OPTIONS_FIELD(aloop_options, resize_context),
    OPTIONS_FIELD(aloop_options, clock_ns),
    OPTIONS_FIELD(aloop_options, clock_context),
    OPTIONS_FIELD(aloop_options, stack_size),
    OPTIONS_FIELD(aloop_options, resolver_threads),
    OPTIONS_FIELD(aloop_options, on_unhandled),
    OPTIONS_FIELD(aloop_options, on_unhandled_arg),
    OPTIONS_FIELD(aloop_options, debug),
    OPTIONS_FIELD(aloop_options, cancel_on_interrupt),
    OPTIONS_FIELD(aloop_options, file_threads),
    OPTIONS_FIELD(aloop_options, work_threads),
    OPTIONS_FIELD(aloop_options, timer_slack_ns),
    OPTIONS_FIELD(aloop_options, must_use_file_threads),
};
OPTIONS_LAST(aloop_options, must_use_file_threads);

/* Debug builds of the library make debug loops. */
#if defined(NDEBUG)
enum { DEBUG_BUILD = false };
#else
enum { DEBUG_BUILD = true };
#endif

static const struct options_kind loop_option_kind = {
    sizeof(aloop_options),
    loop_option_fields,
    sizeof loop_option_fields / sizeof loop_option_fields[0],
};

bool aloop__options_are_valid(const aloop_options *given)
{
    aloop_options options;

    return aloop__options_take(&loop_option_kind, given, &options);
}

/* The context of an allocator belongs to its function, so that a context
 * without a function is dropped. */
bool aloop__loop_options_take(aloop_options *options,
                              const aloop_options *given)
{
    if (!aloop__options_take(&loop_option_kind, given, options))
        return false;
    if (options->resize == NULL) {
        options->resize = aloop__alloc_default.resize;
        options->resize_context = NULL;
    }
    if (options->clock_ns == NULL)
        options->clock_ns = system_clock;
    if (options->on_unhandled == NULL)
        options->on_unhandled = aloop__report_by_default;
    if (options->file_threads == 0)
        options->file_threads = FILE_THREADS;
    if (options->resolver_threads == 0)
        options->resolver_threads = RESOLVER_THREADS;
    options->debug = options->debug || DEBUG_BUILD;
    return true;
}

/* The alarm of aloop_fd() counts the system's time, so that a loop with another
 * clock has to convert its deadlines. */
bool aloop__options_use_system_clock(const aloop_options *options)
{
    return options->clock_ns == system_clock;
}
