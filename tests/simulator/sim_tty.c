/* Terminals.  The line discipline is a flag: only whole lines can be read
 * unless it is raw.  Reads and writes that would block count as bad uses. */

#include "sim_tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "os/sys_tty.h"
#include "sim_world.h"

enum { TTY_ROOM = 8192 };

struct sim_tty {
    struct sim_tty *next;
    uint64_t device;
    struct sys_tty_size size;
    bool is_raw;
    bool is_background;
    bool is_output_stopped;
    bool has_hung_up;
    bool is_unnamed;
    bool is_master;
    size_t input_size, output_size;
    char input[TTY_ROOM], output[TTY_ROOM];
};

static struct sim_tty *ttys;

void sim__tty_end(void)
{
    while (ttys != NULL) {
        struct sim_tty *tty = ttys;

        ttys = tty->next;
        free(tty);
    }
}

int sim_tty_open_again(struct sim_tty *tty)
{
    struct sim_file *file;
    int fd = sim__fd_open(SIM_TERMINAL, &file);

    if (fd < 0)
        return fd;
    file->tty = tty;
    file->flags = O_RDWR;
    return fd;
}

struct sim_tty *sim_tty_open(int *ret_fd)
{
    struct sim_tty *tty = sim__allocate(NULL, sizeof *tty);

    *tty = (struct sim_tty){
        .next = ttys,
        .device = ttys == NULL ? 1 : ttys->device + 1,
        .size = {80, 24},
    };
    ttys = tty;
    *ret_fd = sim_tty_open_again(tty);
    return tty;
}

void sim_tty_type(struct sim_tty *tty, const char *text)
{
    size_t room = TTY_ROOM - tty->input_size;
    size_t size = strlen(text) < room ? strlen(text) : room;

    memcpy(tty->input + tty->input_size, text, size);
    tty->input_size += size;
    sim__trace_bytes(text, size);
}

size_t sim_tty_take(struct sim_tty *tty, char *text, size_t size)
{
    if (size > tty->output_size)
        size = tty->output_size;
    memcpy(text, tty->output, size);
    tty->output_size -= size;
    memmove(tty->output, tty->output + size, tty->output_size);
    return size;
}

void sim_tty_resize(struct sim_tty *tty, unsigned columns, unsigned rows)
{
    tty->size = (struct sys_tty_size){columns, rows};
    (void) sim_raise(SIGWINCH);
}

void sim_tty_background(struct sim_tty *tty, bool is_background,
                        bool is_output_stopped)
{
    tty->is_background = is_background;
    tty->is_output_stopped = is_output_stopped;
}

void sim_tty_hang_up(struct sim_tty *tty)
{
    tty->has_hung_up = true;
    if (!tty->is_master)
        tty->input_size = 0;
}

void sim_tty_unname(struct sim_tty *tty)
{
    tty->is_unnamed = true;
}

void sim_tty_make_master(struct sim_tty *tty)
{
    tty->is_master = true;
}

bool sim_tty_is_raw(const struct sim_tty *tty)
{
    return tty->is_raw;
}

bool sim_tty_blocks(int fd)
{
    const struct sim_file *file = sim__peek(fd);

    return file != NULL && (file->flags & O_NONBLOCK) == 0;
}

/* Bytes that can be read: up to the end of the first line, unless it is raw. */
static size_t readable(const struct sim_tty *tty)
{
    const char *end;

    if (tty->input_size == 0 || tty->is_raw || tty->is_master)
        return tty->input_size;
    end = memchr(tty->input, '\n', tty->input_size);
    return end == NULL ? 0 : (size_t) (end - tty->input) + 1;
}

unsigned sim__tty_bits(const struct sim_file *file)
{
    const struct sim_tty *tty = file->tty;
    unsigned bits = 0;

    if (tty->has_hung_up)
        return REACTOR_READ | REACTOR_ERROR | REACTOR_HANGUP;
    bits |= readable(tty) > 0 ? REACTOR_READ : 0;
    bits |= tty->output_size < TTY_ROOM ? REACTOR_WRITE : 0;
    return bits;
}

/* A call that would block the loop. */
static ssize_t would_block(const struct sim_file *file)
{
    if ((file->flags & O_NONBLOCK) == 0)
        sim__world.bad_uses++;
    return -EAGAIN;
}

ssize_t sim__tty_read(struct sim_file *file, void *buffer, size_t size)
{
    struct sim_tty *tty = file->tty;
    size_t room = readable(tty);

    sim__change(file);
    if (tty->has_hung_up && room == 0)
        return tty->is_master ? -EIO : 0;
    if (tty->is_background)
        return -EIO;
    if (room == 0)
        return would_block(file);
    if (size > room)
        size = room;
    memcpy(buffer, tty->input, size);
    tty->input_size -= size;
    memmove(tty->input, tty->input + size, tty->input_size);
    return (ssize_t) size;
}

ssize_t sim__tty_write(struct sim_file *file, const struct sys_piece *pieces,
                       size_t count)
{
    struct sim_tty *tty = file->tty;
    size_t written = 0;

    sim__change(file);
    if (tty->has_hung_up || (tty->is_background && tty->is_output_stopped))
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        size_t room = TTY_ROOM - tty->output_size;
        size_t size = pieces[i].size < room ? pieces[i].size : room;

        memcpy(tty->output + tty->output_size, pieces[i].data, size);
        tty->output_size += size;
        written += size;
    }
    return written > 0 ? (ssize_t) written : would_block(file);
}

/* The functions of os/sys_tty.h. */

static struct sim_file *find_file(int fd)
{
    struct sim_file *file = sim__file(fd);

    return file != NULL && file->kind == SIM_TERMINAL ? file : NULL;
}

/* The beginning of functions that can fail. */
static struct sim_file *enter_tty(enum sim_call call, int fd, int *ret_error)
{
    struct sim_file *file = NULL;

    *ret_error = sim__enter(call);
    if (*ret_error < 0)
        return NULL;
    file = find_file(fd);
    if (file == NULL)
        *ret_error = -ENOTTY;
    else if (file->tty->has_hung_up)
        *ret_error = -EIO;
    return *ret_error < 0 ? NULL : file;
}

int aloop__sys_tty_separate(int fd)
{
    int error;
    const struct sim_file *file = enter_tty(CALL_sys_tty_separate, fd, &error);
    struct sim_tty *tty;
    struct sim_file *own;

    if (file == NULL)
        return error;
    tty = file->tty;
    if (tty->is_master || tty->is_unnamed)
        return tty->is_master ? -ENOTSUP : -EACCES;
    own = sim__fd_replace(fd);
    own->tty = tty;
    own->flags = O_RDWR | O_NONBLOCK;
    return 0;
}

bool aloop__sys_tty_is_master(int fd)
{
    const struct sim_file *file = find_file(fd);

    sim__note(CALL_sys_tty_is_master);
    return file != NULL && file->tty->is_master;
}

bool aloop__sys_tty_is_background(int fd)
{
    const struct sim_file *file = find_file(fd);

    sim__note(CALL_sys_tty_is_background);
    return file != NULL && file->tty->is_background;
}

bool aloop__sys_tty_is_ready(int fd, bool is_writing)
{
    const struct sim_file *file = find_file(fd);
    unsigned bit = is_writing ? REACTOR_WRITE : REACTOR_READ;

    sim__note(CALL_sys_tty_is_ready);
    return file != NULL && (sim__tty_bits(file) & (bit | REACTOR_ERROR)) != 0;
}

int aloop__sys_tty_device(int fd, uint64_t *ret)
{
    int error;
    const struct sim_file *file = enter_tty(CALL_sys_tty_device, fd, &error);

    if (file != NULL)
        *ret = file->tty->device;
    return error;
}

int aloop__sys_tty_size(int fd, struct sys_tty_size *ret)
{
    int error;
    const struct sim_file *file = enter_tty(CALL_sys_tty_size, fd, &error);

    if (file != NULL)
        *ret = file->tty->size;
    return error;
}

int aloop__sys_tty_size_signal(void)
{
    sim__note(CALL_sys_tty_size_signal);
    return SIGWINCH;
}

int aloop__sys_tty_mode(int fd, struct sys_tty_mode *ret)
{
    int error;
    const struct sim_file *file = enter_tty(CALL_sys_tty_mode, fd, &error);

    if (file != NULL)
        *ret = (struct sys_tty_mode){.bytes = {file->tty->is_raw}};
    return error;
}

int aloop__sys_tty_set_mode(int fd, const struct sys_tty_mode *mode)
{
    int error;
    const struct sim_file *file = enter_tty(CALL_sys_tty_set_mode, fd, &error);

    if (file == NULL)
        return error;
    sim__change(file);
    file->tty->is_raw = mode->bytes[0] != 0;
    return 0;
}

void aloop__sys_tty_make_raw(struct sys_tty_mode *mode)
{
    sim__note(CALL_sys_tty_make_raw);
    mode->bytes[0] = 1;
}
