/* Descriptors: a table of numbers, of which the lowest free one is used first,
 * and the open descriptions behind them.  A description is open while a number
 * or a reference of sim_keep_open() refers to it.  A closed one is kept in
 * memory until the world ends, because a reactor may still have it in its
 * table. */

#include <errno.h>
#include <stdlib.h>

#include "sim_world.h"

enum { FIRST = 3 };

static struct sim_file **table; /* Index: number - FIRST; NULL: free. */
static struct sim_file *standard[FIRST]; /* Those below FIRST, or NULL. */
static unsigned table_size;
static unsigned open_count;
static unsigned open_max; /* 0: no limit. */
static struct sim_file *files;

struct sim_file *sim__peek(int fd)
{
    if (fd >= 0 && fd < FIRST)
        return standard[fd];
    if (fd < FIRST || (unsigned) fd - FIRST >= table_size)
        return NULL;
    return table[fd - FIRST];
}

struct sim_file *sim__file(int fd)
{
    struct sim_file *file = sim__peek(fd);

    sim__trace(fd);
    if (file == NULL)
        sim__world.bad_uses++;
    return file;
}

int sim__fd_take(struct sim_file *file)
{
    unsigned i = 0;

    if (!sim__fd_is_free())
        return -EMFILE;
    while (i < table_size && table[i] != NULL)
        i++;
    if (i == table_size) {
        table_size = 2 * table_size + 16;
        table = sim__allocate(table, table_size * sizeof *table);
        for (unsigned j = i; j < table_size; j++)
            table[j] = NULL;
    }
    table[i] = file;
    file->references++;
    open_count++;
    sim__trace(i);
    return (int) i + FIRST;
}

bool sim__fd_is_free(void)
{
    return open_max == 0 || open_count < open_max;
}

int sim__fd_open(enum sim_kind kind, struct sim_file **ret)
{
    struct sim_file *file = sim__allocate(NULL, sizeof *file);
    int fd;

    *file = (struct sim_file){.next = files, .kind = kind};
    fd = sim__fd_take(file);
    if (fd < 0) {
        free(file);
        return fd;
    }
    files = file;
    *ret = file;
    return fd;
}

struct sim_file *sim__fd_replace(int fd)
{
    struct sim_file *file = sim__allocate(NULL, sizeof *file);

    *file = (struct sim_file){
        .next = files,
        .kind = table[fd - FIRST]->kind,
        .references = 1,
    };
    files = file;
    table[fd - FIRST]->references--;
    table[fd - FIRST] = file;
    return file;
}

void sim__fd_standard(int fd, int from)
{
    if (standard[fd] != NULL)
        sim__file_drop(standard[fd]);
    standard[fd] = NULL;
    if (from < 0)
        return;
    standard[fd] = table[from - FIRST];
    table[from - FIRST] = NULL;
    open_count--;
}

void sim__file_drop(struct sim_file *file)
{
    if (--file->references > 0)
        return;
    if (file->socket != NULL)
        sim__socket_gone(file->socket);
    if (file->node != NULL)
        sim__file_gone(file);
}

int sim__fd_close(int fd)
{
    struct sim_file *file = sim__peek(fd);

    sim__trace(fd);
    if (file == NULL) {
        sim__world.bad_closes++;
        return -EBADF;
    }
    if (fd < FIRST) {
        standard[fd] = NULL;
    } else {
        table[fd - FIRST] = NULL;
        open_count--;
    }
    sim__file_drop(file);
    return 0;
}

int aloop__sys_close(int fd)
{
    int fault = sim__enter(CALL_sys_close);
    int error = sim__fd_close(fd);

    return fault < 0 ? fault : error;
}

int sim_keep_open(int fd)
{
    struct sim_file *file = sim__peek(fd);

    if (file == NULL)
        return -EBADF;
    file->references++;
    return 0;
}

void sim__fd_fork(void)
{
    for (unsigned i = 0; i < table_size; i++) {
        if (table[i] == NULL)
            continue;
        table[i]->references++;
        table[i]->is_parents = true;
    }
}

void sim_descriptors_max(unsigned count)
{
    open_max = count;
}

unsigned sim_descriptors_open(void)
{
    return open_count;
}

int sim_file(void)
{
    struct sim_file *file;

    return sim__fd_open(SIM_REGULAR, &file);
}

int sim__pair_open(enum sys_family family, int fds[2])
{
    struct sim_file *files_made[2];

    for (int i = 0; i < 2; i++) {
        fds[i] = sim__fd_open(SIM_SOCKET, &files_made[i]);
        if (fds[i] < 0) {
            if (i > 0)
                sim__fd_close(fds[0]);
            return fds[i];
        }
        files_made[i]->socket = sim__socket_new(family);
    }
    sim__pair(files_made[0]->socket, files_made[1]->socket);
    return 0;
}

int sim_pair(int fds[2])
{
    return sim__pair_open(SYS_INET, fds);
}

int aloop__sys_wake_open(int fds[2])
{
    int fault = sim__enter(CALL_sys_wake_open);
    struct sim_file *file;
    int fd, other;

    if (fault < 0)
        return fault;
    fd = sim__fd_open(SIM_WAKE, &file);
    if (fd < 0)
        return fd;
    other = sim__world.options.has_wake_pair ? sim__fd_take(file) : fd;
    if (other < 0) {
        sim__fd_close(fd);
        return other;
    }
    fds[0] = fd;
    fds[1] = other;
    return 0;
}

static void set_signalled(int fd, bool is_signalled)
{
    struct sim_file *file = sim__file(fd);

    if (file == NULL)
        return;
    sim__change(file);
    if (file->kind == SIM_WAKE)
        file->is_signalled = is_signalled;
    else
        sim__world.bad_uses++;
}

void aloop__sys_wake_signal(int fd)
{
    sim__note(CALL_sys_wake_signal);
    set_signalled(fd, true);
}

void aloop__sys_wake_drain(int fd)
{
    sim__note(CALL_sys_wake_drain);
    set_signalled(fd, false);
}

void aloop__sys_wake_close(int fds[2])
{
    sim__note(CALL_sys_wake_close);
    sim__fd_close(fds[0]);
    if (fds[1] != fds[0])
        sim__fd_close(fds[1]);
}

/* Follows tcp_poll() of Linux. */
static unsigned socket_bits(const struct sim_socket *socket)
{
    bool is_dead = socket->state == SIM_DEAD;
    bool is_up = socket->state == SIM_CONNECTED;
    unsigned bits = 0;

    if (socket->udp != NULL)
        return sim__udp_bits(socket);
    if (socket->state == SIM_LISTENING)
        return socket->waiting > 0 ? REACTOR_READ : 0;
    if (socket->state == SIM_FRESH)
        return REACTOR_WRITE | REACTOR_HANGUP;
    if (is_dead || socket->size > 0 || socket->has_received_fin)
        bits |= REACTOR_READ;
    if (is_dead || (is_up && (socket->has_sent_fin || sim__room(socket) > 0)))
        bits |= REACTOR_WRITE;
    if (socket->error < 0)
        bits |= REACTOR_ERROR;
    if (is_dead || (socket->has_sent_fin && socket->has_received_fin))
        bits |= REACTOR_HANGUP;
    if (socket->is_urgent)
        bits |= REACTOR_PRIORITY;
    return bits;
}

unsigned sim__ready_bits(const struct sim_file *file)
{
    if (file->kind == SIM_SOCKET)
        return socket_bits(file->socket);
    if (file->kind == SIM_TERMINAL)
        return sim__tty_bits(file);
    if (file->kind == SIM_FILE && sim__file_is_waitable(file))
        return sim__fifo_bits(file);
    if (file->kind == SIM_REGULAR || file->node != NULL)
        return REACTOR_READ | REACTOR_WRITE;
    if (file->kind == SIM_WAKE)
        return REACTOR_WRITE | (file->is_signalled ? REACTOR_READ : 0);
    return sim__reactor_readable(file->reactor) ? REACTOR_READ : 0;
}

void sim_set_urgent(int fd, bool is_urgent)
{
    struct sim_file *file = sim__file(fd);

    if (file == NULL || file->socket == NULL)
        return;
    sim__change(file);
    file->socket->is_urgent = is_urgent;
}

bool sim_fd_readable(int fd)
{
    const struct sim_file *file = sim__peek(fd);

    return file != NULL && (sim__ready_bits(file) & REACTOR_READ) != 0;
}

bool sim_poll(int fd, int64_t timeout_ns)
{
    int64_t end_ns =
        timeout_ns < 0 ? INT64_MAX : sim__add_ns(sim__world.now_ns, timeout_ns);

    for (;;) {
        int64_t next_ns;

        sim__happen();
        if (sim_fd_readable(fd))
            return true;
        next_ns = sim__next_ns() < end_ns ? sim__next_ns() : end_ns;
        if (next_ns == INT64_MAX)
            sim__world.is_deadlocked = true;
        if (next_ns == INT64_MAX || sim__world.now_ns >= end_ns)
            return false;
        sim__world.now_ns = next_ns;
    }
}

void sim__fd_end(void)
{
    while (files != NULL) {
        struct sim_file *file = files;

        files = file->next;
        free(file);
    }
    for (int i = 0; i < FIRST; i++)
        standard[i] = NULL;
    free(table);
    table = NULL;
    table_size = 0;
    open_count = 0;
    open_max = 0;
}
