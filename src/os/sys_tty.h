/* The seam, continued: terminals.  The rules of sys.h hold. */

#ifndef ALOOP_OS_SYS_TTY_H
#define ALOOP_OS_SYS_TTY_H

#include "os/sys.h"

/* A mode: a struct termios, stored as bytes because this header compiles
 * without POSIX. */
struct sys_tty_mode {
    _Alignas(8) unsigned char bytes[128];
};

struct sys_tty_size {
    unsigned columns;
    unsigned rows;
};

/* Gives the number `fd` an open file of its own for the same terminal, which
 * does not block.  Other descriptors of the old open file keep blocking.  Fails
 * for masters, and without access to the terminal's name; nothing has changed
 * then. */
int aloop__sys_tty_separate(int fd);
/* Returns whether `fd` is the master of a pseudo-terminal. */
bool aloop__sys_tty_is_master(int fd);
/* Returns whether `fd` is the controlling terminal, and another process group
 * has it.  Then a read may fail with EIO although the terminal works. */
bool aloop__sys_tty_is_background(int fd);
/* Returns whether a descriptor that blocks can be read now, or written. */
bool aloop__sys_tty_is_ready(int fd, bool is_writing);

/* Returns a number that is different for each terminal. */
int aloop__sys_tty_device(int fd, uint64_t *ret);
int aloop__sys_tty_size(int fd, struct sys_tty_size *ret);
/* The number of the signal that reports changes of the size. */
int aloop__sys_tty_size_signal(void);

int aloop__sys_tty_mode(int fd, struct sys_tty_mode *ret);
/* Keeps the input.  The caller has the signal lock, under which signals are
 * blocked: SIGTTOU would stop a process in the background.
 * Async-signal-safe. */
int aloop__sys_tty_set_mode(int fd, const struct sys_tty_mode *mode);
/* Changes how input is treated: raw.  Output stays as it is. */
void aloop__sys_tty_make_raw(struct sys_tty_mode *mode);

#endif
