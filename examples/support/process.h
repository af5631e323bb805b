/* What a process has from its system: processors and descriptors. */

#ifndef EXAMPLES_PROCESS_H
#define EXAMPLES_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* Returns the number of processors, or 1 if the system does not report it. */
uint64_t process_processors(void);

/* Raises the limit of open files to `needed`, or as far as the system permits.
 * Returns the new limit, or 0 if the one that there was is high enough. */
uint64_t process_allow_files(uint64_t needed);

/* Gives standard descriptors that are closed to /dev/null.  Otherwise a file or
 * a pipe of the program would get their numbers, and what is printed. */
void process_hold_standard(void);

/* Writes what was printed, such as the line by which a server reports that it
 * is ready.  Returns 0, or 1 if it could not be written, which process_end()
 * reports: the program should end. */
int process_flush(void);

/* Returns the exit status of a program that has ended with `status`: 1 after an
 * error, which is printed, or if standard output could not be written; 130, as
 * in shells after SIGINT, if a signal has cancelled it; else `status`. */
int process_end(const char *program, ssize_t status);

#endif
