// An exception that leaves a callback of any kind ends the program, like one
// that leaves a task.  This holds even if a caller of aloop_run() would catch
// it.

#include <aloop.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

enum { TERMINATED = 42, CAUGHT = 43 };

static void throw_from(aloop *, void *)
{
    throw std::runtime_error("from a callback");
}

static void throw_from_timer(aloop_timer *, void *)
{
    throw std::runtime_error("from a timer");
}

static void throw_from_then(aloop_future *, ssize_t, void *)
{
    throw std::runtime_error("from a continuation");
}

static void throw_from_report(aloop *, int, const char *, void *)
{
    throw std::runtime_error("from a report");
}

static ssize_t throw_from_task(aloop *, void *)
{
    throw std::runtime_error("from a task");
}

static ssize_t fails(aloop *, void *)
{
    return ALOOP_EINVAL;
}

static void throw_from_cancel(aloop_future *, void *)
{
    throw std::runtime_error("from the end of an operation");
}

static void caught_within(aloop *, void *)
{
    try {
        throw 1;
    } catch (int) {
    }
}

static void start(aloop *loop, int kind)
{
    aloop_timer *timer;

    switch (kind) {
    case 0:
        aloop_timer_start(loop, 1, 0, throw_from_timer, nullptr, &timer);
        break;
    case 1:
        aloop_defer(loop, throw_from, nullptr);
        break;
    case 2:
        aloop_post(loop, throw_from, nullptr);
        break;
    case 3:
        aloop_then(aloop_sleep(loop, 1), throw_from_then, nullptr);
        break;
    case 4:
        aloop_future_unref(aloop_spawn(loop, fails, nullptr));
        break;
    case 5:
        aloop_detach(aloop_spawn(loop, throw_from_task, nullptr));
        break;
    case 6:
        aloop_future_unref(
            aloop_operation_new(loop, throw_from_cancel, nullptr));
        break;
    default:
        aloop_defer(loop, caught_within, nullptr);
    }
}

static int run(int kind)
{
    aloop_options options = {};

    std::set_terminate([] { std::_Exit(TERMINATED); });
    options.size = sizeof options;
    options.on_unhandled = throw_from_report;
    aloop *loop = aloop_new(&options);
    try {
        start(loop, kind);
        aloop_run(loop);
    } catch (const std::exception &) {
        return CAUGHT;
    }
    return aloop_free(loop) == 0 ? 0 : 1;
}

int main()
{
    int failed = 0;

    for (int kind = 0; kind < 8; kind++) {
        int status = 0, expected = kind < 7 ? TERMINATED : 0;
        pid_t pid = fork();

        if (pid == 0)
            std::_Exit(run(kind));
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
            std::printf("kind %d ended with %x\n", kind, (unsigned) status);
            failed = 1;
        }
    }
    return failed;
}
