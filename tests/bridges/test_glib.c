/* The bridges to GLib: a loop inside a main context, and a main context inside
 * a loop. */

#define _POSIX_C_SOURCE 200809L

enum { HOST_ALLOCATES = 0 }; /* GLib does, and ends the process on failure. */

#include "host_tests.h"

#include "bridges/glib_host.h"
#include "bridges/glib_inside.h"

#include <gio/gio.h>
#include <glib-unix.h>

#include "guest_tests.h"

/* Each test has a context of its own. */
static struct {
    GMainContext *context;
    GMainLoop *main_loop;
    GSource *host;
    glib_inside *inside;
    GSource *watch;
} e;

static void host_open(void)
{
    e.context = g_main_context_new();
    e.main_loop = g_main_loop_new(e.context, FALSE);
    g_main_context_push_thread_default(e.context);
}

static void host_close(void)
{
    g_main_context_pop_thread_default(e.context);
    g_main_loop_unref(e.main_loop);
    g_main_context_unref(e.context);
}

static int host_start(aloop *loop,
                      void (*on_idle)(aloop *loop, int status, void *arg))
{
    return glib_host_start(loop, e.context, on_idle, &f, &e.host);
}

static int host_start_without_loop(void)
{
    GSource *source;

    assert_int_equal(glib_host_start(f.loop, e.context, NULL, NULL, NULL),
                     ALOOP_EINVAL);
    return glib_host_start(NULL, e.context, NULL, NULL, &source);
}

static void host_stop(void)
{
    glib_host_stop(e.host);
    e.host = NULL;
}

static void host_run(void)
{
    g_main_loop_run(e.main_loop);
}

static void host_end(void)
{
    g_main_loop_quit(e.main_loop);
}

static gboolean call_once(gpointer data)
{
    host_fn *fn = data;

    (*fn)();
    return G_SOURCE_REMOVE;
}

static void attach(GSource *source, GSourceFunc callback, host_fn fn)
{
    host_fn *copy = g_new(host_fn, 1);

    *copy = fn;
    g_source_set_callback(source, callback, copy, g_free);
    g_source_attach(source, e.context);
}

static void host_after_ms(int delay_ms, host_fn fn)
{
    GSource *source = g_timeout_source_new((guint) delay_ms);

    attach(source, call_once, fn);
    g_source_unref(source);
}

/* A context shares its descriptor with the parent, which does not matter if
 * only the child uses it. */
static void host_after_fork(void)
{
}

static void a_closed_descriptor_ends_the_source(void **state)
{
    int fd = aloop_fd(f.loop), other = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    (void) state;
    host_stop();
    assert_int_equal(host_start(f.loop, count_idle_call), 0);
    close(fd);
    host_after_ms(20, host_end);

    host_run();

    assert_int_equal(f.idle_calls, 1);
    assert_int_equal(f.idle_status, ALOOP_EBADF);
    assert_int_equal(dup2(other, fd), fd);
    close(other);
}

static void iterate(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    spawn(sleep_and_end);
    host_after_ms(5, count_and_end);
    while (f.calls == 0)
        g_main_context_iteration(e.context, TRUE);
    f.turns = 1;
}

static void a_callback_of_the_loop_may_iterate_the_context(void **state)
{
    (void) state;
    assert_int_equal(aloop_defer(f.loop, iterate, NULL), 0);

    host_run();
    while (f.calls < 2)
        g_main_context_iteration(e.context, TRUE);

    assert_int_equal(f.calls, 2);
    assert_int_equal(f.turns, 1);
}

static void iterate_and_count(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    host_after_ms(20, count_and_end);
    for (; f.calls == 0; f.turns++)
        g_main_context_iteration(e.context, TRUE);
}

/* The descriptor of the loop stays readable until the callback returns. */
static void a_context_that_a_callback_iterates_waits_for_events(void **state)
{
    (void) state;
    assert_int_equal(aloop_defer(f.loop, iterate_and_count, NULL), 0);

    host_run();

    assert_int_equal(f.calls, 1);
    assert_in_range(f.turns, 1, 10);
}

static void iterate_in_vain(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    for (int i = 0; i < 10; i++)
        g_main_context_iteration(e.context, FALSE);
    f.turns++;
}

/* The source is ready, but the loop runs already. */
static void the_source_continues_after_the_loop_was_busy(void **state)
{
    (void) state;
    spawn(sleep_and_end);
    assert_int_equal(aloop_defer(f.loop, iterate_in_vain, NULL), 0);
    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(1))), 0);
    assert_int_equal(f.turns, 1);

    host_run();

    assert_int_equal(f.calls, 1);
}

static void a_source_may_outlive_its_context(void **state)
{
    (void) state;
    host_close();

    host_stop();

    host_open();
}

/* The context inside the loop. */

static int guest_start(aloop *loop)
{
    return glib_inside_start(loop, e.context, &e.inside);
}

static void guest_stop(void)
{
    glib_inside_stop(e.inside);
    e.inside = NULL;
}

static void guest_after_ms(int delay_ms, host_fn fn)
{
    host_after_ms(delay_ms, fn);
}

static void guest_post(host_fn fn)
{
    host_fn *copy = g_new(host_fn, 1);

    *copy = fn;
    g_main_context_invoke_full(e.context, G_PRIORITY_DEFAULT, call_once, copy,
                               g_free);
}

static gboolean watch_ready(gint fd, GIOCondition condition, gpointer data)
{
    host_fn *fn = data;

    (void) fd;
    assert_true((condition & G_IO_IN) != 0);
    (*fn)();
    return G_SOURCE_CONTINUE;
}

static void guest_watch(int fd, host_fn fn)
{
    e.watch = g_unix_fd_source_new(fd, G_IO_IN);
    attach(e.watch, G_SOURCE_FUNC(watch_ready), fn);
}

static void guest_unwatch(void)
{
    if (e.watch != NULL) {
        g_source_destroy(e.watch);
        g_source_unref(e.watch);
    }
    e.watch = NULL;
}

static gboolean count_idle(gpointer data)
{
    (void) data;
    if (++f.calls < 1000)
        return G_SOURCE_CONTINUE;
    aloop_future_resolve(g.end, 0);
    return G_SOURCE_REMOVE;
}

/* Each takes a round, and the loop does not sleep between them. */
static void idle_sources_run(void **state)
{
    GSource *source = g_idle_source_new();

    (void) state;
    g_source_set_callback(source, count_idle, NULL, NULL);
    g_source_attach(source, e.context);
    g_source_unref(source);

    await_end();

    assert_int_equal(f.calls, 1000);
}

static gboolean count_always(gpointer data)
{
    (void) data;
    f.idle_calls++;
    return G_SOURCE_CONTINUE;
}

static void idle_sources_leave_time_to_the_loop(void **state)
{
    GSource *source = g_idle_source_new();

    (void) state;
    g_source_set_callback(source, count_always, NULL, NULL);
    g_source_attach(source, e.context);
    spawn(sleep_and_resolve);

    await_end();

    g_source_destroy(source);
    g_source_unref(source);
    assert_true(f.idle_calls > 0);
}

static void file_found(GObject *object, GAsyncResult *result, gpointer arg)
{
    GFileInfo *info = g_file_query_info_finish(G_FILE(object), result, NULL);

    (void) arg;
    assert_non_null(info);
    assert_int_equal(g_file_info_get_file_type(info), G_FILE_TYPE_DIRECTORY);
    g_object_unref(info);
    end();
}

static ssize_t query_file(aloop *loop, void *arg)
{
    GFile *file = g_file_new_for_path("/");
    ssize_t status = aloop_await(aloop_sleep(loop, ALOOP_MS(1)));

    (void) arg;
    g_file_query_info_async(file, G_FILE_ATTRIBUTE_STANDARD_TYPE,
                            G_FILE_QUERY_INFO_NONE, G_PRIORITY_DEFAULT, NULL,
                            file_found, NULL);
    g_object_unref(file);
    return status;
}

/* A thread of GIO asks the system.  GLib's locks are unknown to TSan. */
static void operations_of_gio_complete(void **state)
{
    (void) state;
    if (WITH_TSAN)
        skip();
    spawn(query_file);

    await_end();

    assert_int_equal(f.calls, 1);
}

static int64_t count_wait(aloop_prepare *prepare, void *arg)
{
    (void) prepare;
    (void) arg;
    f.idle_calls++;
    return -1;
}

static void a_waiting_context_takes_no_turns(void **state)
{
    aloop_prepare *prepare;

    (void) state;
    guest_after_ms(3600000, end);
    assert_int_equal(aloop_prepare_start(f.loop, count_wait, NULL, &prepare),
                     0);

    assert_int_equal(aloop_await(aloop_sleep(f.loop, ALOOP_MS(50))), 0);

    assert_true(f.idle_calls < 10 || is_interrupted());
    aloop_prepare_close(prepare);
}

/* The prepare of the second context runs last before the wait. */
static void two_contexts_may_use_each_other(void **state)
{
    GMainContext *first = e.context, *second = g_main_context_new();
    glib_inside *inside;

    (void) state;
    assert_int_equal(glib_inside_start(f.loop, second, &inside), 0);
    e.context = second;
    guest_after_ms(1, end);
    await_end(); /* Both have been asked. */
    aloop_future_unref(g.end);
    g.end = aloop_future_new(f.loop);
    guest_after_ms(1, spawn_in_guest);
    e.context = first;

    await_end();

    assert_int_equal(f.calls, 2);
    glib_inside_stop(inside);
    g_main_context_unref(second);
}

static GMainContext *borrowed;

static void use_first_context(void)
{
    GMainContext *second = e.context;

    e.context = borrowed;
    host_after_ms(1, end);
    e.context = second;
}

static void a_context_may_start_timers_of_one_before_it(void **state)
{
    GMainContext *second = g_main_context_new();
    glib_inside *inside;

    (void) state;
    borrowed = e.context;
    assert_int_equal(glib_inside_start(f.loop, second, &inside), 0);
    e.context = second;
    guest_after_ms(5, use_first_context);
    e.context = borrowed;

    await_end();

    assert_int_equal(f.calls, 1);
    glib_inside_stop(inside);
    g_main_context_unref(second);
}

static gboolean expect_nval(gint fd, GIOCondition condition, gpointer data)
{
    (void) fd;
    (void) data;
    assert_true((condition & G_IO_NVAL) != 0);
    end();
    return G_SOURCE_REMOVE;
}

static void a_closed_descriptor_is_reported_to_its_source(void **state)
{
    GSource *source = g_unix_fd_source_new(FDS_MAX + 1, G_IO_IN);

    (void) state;
    g_source_set_callback(source, G_SOURCE_FUNC(expect_nval), NULL, NULL);
    g_source_attach(source, e.context);
    g_source_unref(source);

    await_end();

    assert_int_equal(f.calls, 1);
}

static void *acquire(void *arg)
{
    glib_inside *inside;

    f.idle_status = glib_inside_start(arg, e.context, &inside);
    return NULL;
}

static void a_context_of_another_thread_is_refused(void **state)
{
    aloop *loop = aloop_new(NULL);
    pthread_t thread;

    (void) state;
    assert_int_equal(pthread_create(&thread, NULL, acquire, loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_int_equal(f.idle_status, ALOOP_EBUSY);
    assert_int_equal(aloop_free(loop), 0);
}

static void missing_arguments_of_inside_are_refused(void **state)
{
    glib_inside *inside;

    (void) state;
    assert_int_equal(glib_inside_start(NULL, e.context, &inside), ALOOP_EINVAL);
    assert_int_equal(glib_inside_start(f.loop, e.context, NULL), ALOOP_EINVAL);
}

/* Threads of GLib keep descriptors, and may open them at any time. */
static int gio_tear_down(void **state)
{
    f.fds = -1;
    return guest_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TESTS,
        TEST(a_closed_descriptor_ends_the_source),
        TEST(a_callback_of_the_loop_may_iterate_the_context),
        TEST(a_context_that_a_callback_iterates_waits_for_events),
        TEST(the_source_continues_after_the_loop_was_busy),
        TEST(a_source_may_outlive_its_context),
        GUEST_TESTS,
        GUEST_TEST(idle_sources_run),
        GUEST_TEST(idle_sources_leave_time_to_the_loop),
        GUEST_TEST(a_waiting_context_takes_no_turns),
        GUEST_TEST(two_contexts_may_use_each_other),
        GUEST_TEST(a_context_may_start_timers_of_one_before_it),
        GUEST_TEST(a_closed_descriptor_is_reported_to_its_source),
        GUEST_TEST(a_context_of_another_thread_is_refused),
        GUEST_TEST(missing_arguments_of_inside_are_refused),
        cmocka_unit_test_setup_teardown(operations_of_gio_complete,
                                        guest_set_up, gio_tear_down),
    };

    return cmocka_run_group_tests_name("glib", tests, host_warm_up, NULL);
}
