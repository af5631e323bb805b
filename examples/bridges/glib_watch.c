/* Prints changes of files and directories, which GLib watches.
 *
 *     usage: glib_watch [-t SECONDS] PATH...
 *
 *     -t SECONDS  ends when nothing has changed for so long (default: never)
 *
 * Prints a line for each change: the change, a colon, and the path, in which
 * control characters, quotes and backslashes are escaped as in C.  The files
 * of a directory are watched, but not those of the directories in it.  The exit
 * status is 0; 1 if a path cannot be watched; 2 for wrong usage; 130 after
 * SIGINT or SIGTERM.
 *
 * GFileMonitor of GIO calls back in a main context, which glib_inside runs in
 * the loop.  The callbacks give the changes to a task, by a channel.  The task
 * has a time limit for each, which is the loop's.
 */

#define _POSIX_C_SOURCE 200809L

#include <aloop.h>

#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridges/glib_inside.h"
#include "support/options.h"
#include "support/process.h"

enum { CHANGES_MAX = 1000 };

struct change {
    GFileMonitorEvent event;
    char *path;
};

static struct {
    char **paths;
    int count;
    int64_t limit_ns; /* 0: none. */
    aloop_channel *changes;
    unsigned lost; /* Changes that found the channel full. */
} f;

static const char *event_name(GFileMonitorEvent event)
{
    static const char *const names[] = {
        [G_FILE_MONITOR_EVENT_CHANGED] = "changed",
        [G_FILE_MONITOR_EVENT_CHANGES_DONE_HINT] = "complete",
        [G_FILE_MONITOR_EVENT_DELETED] = "deleted",
        [G_FILE_MONITOR_EVENT_CREATED] = "created",
        [G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED] = "attributes",
        [G_FILE_MONITOR_EVENT_RENAMED] = "renamed",
        [G_FILE_MONITOR_EVENT_MOVED_IN] = "moved in",
        [G_FILE_MONITOR_EVENT_MOVED_OUT] = "moved out"};

    if ((size_t) event >= sizeof names / sizeof names[0] ||
        names[event] == NULL)
        return "other";
    return names[event];
}

/* In a callback of GLib nothing may wait. */
static void monitor_changed(GFileMonitor *monitor, GFile *file, GFile *other,
                            GFileMonitorEvent event, gpointer arg)
{
    struct change change = {event, g_file_get_path(file)};

    (void) monitor;
    (void) other;
    (void) arg;
    if (change.path != NULL && aloop_channel_try_send(f.changes, &change) == 0)
        return;
    g_free(change.path);
    f.lost++;
}

/* Returns NULL after a message. */
static GFileMonitor *watch(const char *path)
{
    GFile *file = g_file_new_for_path(path);
    GError *error = NULL;
    GFileMonitor *monitor =
        g_file_monitor(file, G_FILE_MONITOR_WATCH_MOVES, NULL, &error);

    if (monitor == NULL) {
        fprintf(stderr, "glib_watch: %s: %s\n", path, error->message);
        g_error_free(error);
    } else {
        g_signal_connect(monitor, "changed", G_CALLBACK(monitor_changed), NULL);
    }
    g_object_unref(file);
    return monitor;
}

/* A name can have any characters, also those that end a line or are commands
 * to a terminal.  Text of UTF-8 stays as it is. */
static char *escape(const char *path)
{
    char high[129];
    bool is_plain = g_utf8_validate(path, -1, NULL);

    for (int i = 0; i < 128; i++)
        high[i] = (char) (128 + i);
    high[128] = '\0';
    for (const char *c = path; is_plain && *c != '\0'; c = g_utf8_next_char(c))
        is_plain = g_utf8_get_char(c) < 128 ||
                   !g_unichar_iscntrl(g_utf8_get_char(c));
    return g_strescape(path, is_plain ? high : NULL);
}

/* Prints changes until an error, a cancel or the time limit.  The latter is no
 * error. */
static ssize_t print_changes(void)
{
    struct change change;

    for (;;) {
        char *path;
        ssize_t status;
        aloop_future *next = aloop_channel_receive(f.changes, &change);

        if (f.limit_ns != 0)
            next = aloop_timeout(next, f.limit_ns);
        status = aloop_await(next);
        if (status < 0)
            return status == ALOOP_ETIMEDOUT ? 0 : status;
        path = escape(change.path);
        printf("%s: %s\n", event_name(change.event), path);
        fflush(stdout);
        g_free(path);
        g_free(change.path);
    }
}

static ssize_t amain(aloop *loop, void *arg)
{
    GFileMonitor **monitors = g_new0(GFileMonitor *, (gsize) f.count);
    struct change change;
    glib_inside *inside = NULL;
    bool is_good = true;
    ssize_t status;

    (void) arg;
    f.changes = aloop_channel_new(loop, sizeof change, CHANGES_MAX);
    status = f.changes == NULL ? ALOOP_ENOMEM
                               : glib_inside_start(loop, NULL, &inside);
    for (int i = 0; i < f.count && status == 0; i++) {
        monitors[i] = watch(f.paths[i]);
        is_good = is_good && monitors[i] != NULL;
    }
    if (status == 0 && is_good) {
        fputs("watching\n", stderr);
        status = print_changes();
    }
    for (int i = 0; i < f.count; i++)
        g_clear_object(&monitors[i]);
    g_free(monitors);
    glib_inside_stop(inside);
    while (aloop_channel_try_receive(f.changes, &change) == 0)
        g_free(change.path);
    aloop_channel_free(f.changes);
    return status == 0 && !is_good ? 1 : status;
}

/* Returns 0, the exit status of wrong usage, or -1 after printing the help. */
static int parse_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: glib_watch [-t SECONDS] PATH...\n"
        "  -t SECONDS  ends when nothing has changed for so long (default:"
        " never)\n";
    bool is_help = option_help(argc, argv), is_valid = true;
    int option;

    while (is_valid && !is_help && (option = getopt(argc, argv, "t:h")) != -1) {
        if (option == 'h')
            is_help = true;
        else
            is_valid = option == 't' &&
                       option_seconds("-t", optarg, &f.limit_ns);
    }
    if (is_help || !is_valid || optind == argc) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? -1 : 2;
    }
    f.paths = argv + optind;
    f.count = argc - optind;
    return 0;
}

int main(int argc, char **argv)
{
    aloop_options options = {.size = sizeof options,
                             .cancel_on_interrupt = true};
    ssize_t status = parse_options(argc, argv);

    if (status != 0)
        return process_end("glib_watch", status < 0 ? 0 : status);
    status = aloop_main_with(amain, NULL, &options);
    if (f.lost != 0)
        fprintf(stderr, "glib_watch: %u changes are not printed\n", f.lost);
    return process_end("glib_watch", status);
}
