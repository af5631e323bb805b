/* Terminals of the simulated system: the functions that tests call. */

#ifndef SIM_TTY_H
#define SIM_TTY_H

#include <stdbool.h>
#include <stddef.h>

struct sim_tty;

/* Opens a terminal, whose descriptor blocks.  It is valid until the world
 * ends. */
struct sim_tty *sim_tty_open(int *ret_fd);
/* Opens another descriptor of it. */
int sim_tty_open_again(struct sim_tty *tty);
/* Gives it input.  Unless it is raw, only whole lines can be read. */
void sim_tty_type(struct sim_tty *tty, const char *text);
/* Takes output.  Returns its size. */
size_t sim_tty_take(struct sim_tty *tty, char *text, size_t size);
/* Changes the size and raises SIGWINCH. */
void sim_tty_resize(struct sim_tty *tty, unsigned columns, unsigned rows);
/* In the background reads fail; writes too if it stops output. */
void sim_tty_background(struct sim_tty *tty, bool is_background,
                        bool is_output_stopped);
void sim_tty_hang_up(struct sim_tty *tty);
/* Makes it one that cannot be opened again. */
void sim_tty_unname(struct sim_tty *tty);
/* Makes it the master of a pseudo-terminal; a hang-up closes the slave. */
void sim_tty_make_master(struct sim_tty *tty);
bool sim_tty_is_raw(const struct sim_tty *tty);
/* Returns whether the descriptor blocks. */
bool sim_tty_blocks(int fd);

#endif
