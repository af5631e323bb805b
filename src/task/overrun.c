/* Reports which task has overrun its stack, and the use of a stack whose task
 * has ended, in loops with options.debug.
 *
 * A task that accesses its guard faults.  The handler of os/fault.c then asks
 * this file about the address.  A frame that is large enough to step over the
 * guard is found when the task next waits.  Both end the process after one line
 * on standard error.
 *
 * The code that runs in the handler only reads the running task and writes one
 * line.  The line goes to the same file as reports: the standard error of the
 * time when the loop was made. */

#include "task/overrun.h"

#include <string.h>

#include "loop/report.h"
#include "loop/running.h"
#include "os/sys.h"
#include "task/retired.h"

/* The line is made in a signal handler, and therefore without snprintf(), which
 * is not async-signal-safe (signal-safety(7)). */
enum { OVERRUN_LINE_SIZE = 320 };

/* Appends a text to the line, which has `length` bytes of at most `size`; what
 * does not fit is dropped.  Returns the new length. */
static size_t append(char *line, size_t length, size_t size, const char *text)
{
    size_t more = strlen(text);

    if (more > size - length)
        more = size - length;
    memcpy(line + length, text, more);
    return length + more;
}

/* Does the same with a number in decimal digits. */
static size_t append_number(char *line, size_t length, size_t size,
                            size_t number)
{
    char digits[24], *first = digits + sizeof digits - 1;

    *first = '\0';
    do {
        *--first = (char) ('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return append(line, length, size, first);
}

static void end_line(const aloop *loop, char *line, size_t length)
{
    line[length++] = '\n'; /* One byte is kept for it. */
    (void) aloop__sys_stderr_write(&loop->reports->file, line, length);
}

/* Begins a line with the task and where it was spawned.  Returns its length. */
static size_t begin_line(char *line, size_t size, const char *name,
                         const char *where)
{
    size_t length = append(line, 0, size, "aloop: task ");

    length = append(line, length, size, name);
    length = append(line, length, size, " (");
    length = append(line, length, size, where);
    return append(line, length, size, ") has ");
}

static void report_overrun(const struct aloop__task *task)
{
    char line[OVERRUN_LINE_SIZE];
    size_t size = sizeof line - 1,
           length = begin_line(line, size, task->name, task->where);

    length = append(line, length, size, "overrun its stack of ");
    length = append_number(line, length, size, task->stack.size);
    length = append(line, length, size, " bytes");
    end_line(task->future.loop, line, length);
}

static void report_use(const aloop *loop,
                       const struct aloop__retired_task *task)
{
    char line[OVERRUN_LINE_SIZE];
    size_t size = sizeof line - 1,
           length = begin_line(line, size, task->name, task->where);

    length = append(line, length, size,
                    "ended, but a local variable of it "
                    "was used; pass memory that lives longer");
    end_line(loop, line, length);
}

/* Called by the handler of os/fault.c, on the thread of the fault.  Returns
 * without a line if the address does not belong to the running task: the fault
 * then has its usual effect.
 *
 * Also accepts addresses below the guard.  If a task's stack is the lowest of
 * its mapping, a large frame of that task may end where nothing is mapped. */
static void overrun_report(const void *address)
{
    struct aloop__task *task = aloop__task_current();
    const aloop *loop = aloop__running();
    const struct aloop__retired_task *ended =
        loop == NULL ? NULL : aloop__retired_find(loop, address);
    uintptr_t at = (uintptr_t) address, low;

    if (ended != NULL) {
        report_use(loop, ended);
        return;
    }
    if (task == NULL || task->stack.low == NULL)
        return;
    low = (uintptr_t) task->stack.low;
    if (at >= low || low - at > 2 * task->stack.size)
        return;
    report_overrun(task);
}

/* Called on the loop's stack after each switch away from a task, before its
 * stack can be given back.  The saved stack pointer shows how far its frames
 * reach. */
void aloop__overrun_check(struct aloop__task *task)
{
    if ((uintptr_t) task->context.sp < (uintptr_t) task->stack.low)
        aloop__fault_raise((const char *) task->stack.low - 1);
}

/* If the handler cannot be installed, the loop works without these reports. */
void aloop__overrun_watch(aloop *loop)
{
    if (!loop->options.debug || aloop__fault_watch(overrun_report) < 0)
        return;
    loop->is_watching_faults = true;
    aloop__fault_stack_open(&loop->fault_stack);
    aloop__retired_open(loop);
}

void aloop__overrun_unwatch(aloop *loop)
{
    if (!loop->is_watching_faults)
        return;
    aloop__retired_close(loop);
    aloop__fault_stack_close(&loop->fault_stack);
    aloop__fault_unwatch();
}
