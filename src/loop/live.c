/* Whether a loop is alive, and whether it has work to do. */

#include "loop/live.h"

bool aloop__has_work(const aloop *loop)
{
    return !list_empty(&loop->ready) || !list_empty(&loop->flushing) ||
           !list_empty(&loop->unreported) || aloop__has_posts(loop);
}

bool aloop__is_alive(const aloop *loop)
{
    return loop->live > 0 || loop->lingering > 0 || aloop__has_work(loop);
}
