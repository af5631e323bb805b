// C++ exception state belongs to the task: two tasks that await inside a catch
// block each get their own exception back, also if what they await has thrown
// one meanwhile, and a cancelled await may throw.

#include <aloop.h>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

struct job {
    const char *text;
    bool was_right;
};

// A new task has no exception, whatever the one has that awaits it.
static ssize_t throws_and_catches(aloop *, void *)
{
    bool is_fresh = std::current_exception() == nullptr;

    try {
        throw 5;
    } catch (int number) {
        return is_fresh && number == 5 ? 0 : ALOOP_EINVAL;
    }
}

static ssize_t rethrows(aloop *loop, void *arg)
{
    job *mine = static_cast<job *>(arg);

    try {
        try {
            throw std::runtime_error(mine->text);
        } catch (const std::runtime_error &) {
            for (int i = 0; i < 3; i++)
                aloop_await(aloop_sleep(loop, ALOOP_MS(1)));
            if (aloop_await(aloop_spawn(loop, throws_and_catches, nullptr)) < 0)
                return ALOOP_EINVAL;
            throw;
        }
    } catch (const std::runtime_error &error) {
        mine->was_right = std::string(error.what()) == mine->text;
    }
    return 0;
}

struct guard {
    bool *flag;
    ~guard() { *flag = true; }
};

static ssize_t throws_when_cancelled(aloop *loop, void *arg)
{
    try {
        guard cleaned = {static_cast<bool *>(arg)};

        if (aloop_await(aloop_sleep(loop, ALOOP_SEC(100))) < 0)
            throw std::runtime_error("cancelled");
    } catch (const std::runtime_error &) {
        return ALOOP_ECANCELED;
    }
    return 0;
}

static ssize_t amain(aloop *loop, void *)
{
    job one = {"one", false}, two = {"two", false};
    bool cleaned = false;
    ssize_t status = aloop_await(
        aloop_gather(loop, aloop_spawn(loop, rethrows, &one),
                     aloop_spawn(loop, rethrows, &two)));
    ssize_t late = aloop_await(aloop_timeout(
        aloop_spawn(loop, throws_when_cancelled, &cleaned), ALOOP_MS(1)));

    std::printf("one %d, two %d, cleaned %d\n", one.was_right, two.was_right,
                cleaned);
    return status == 0 && late == ALOOP_ETIMEDOUT && one.was_right &&
                   two.was_right && cleaned
               ? 0
               : ALOOP_EINVAL;
}

int main()
{
    return aloop_main(amain, nullptr) < 0;
}
