/* The numbers and the flags of new descriptors. */

#ifndef ALOOP_OS_DESCRIPTOR_H
#define ALOOP_OS_DESCRIPTOR_H

/* Moves a new descriptor, which is close-on-exec, to a number above that of
 * standard error, unless it has one.  Returns the number.  If that fails, or
 * `fd` is -1, it returns -1, errno has the reason, and `fd` is closed. */
int aloop__above_standard(int fd);

/* Makes a descriptor non-blocking and close-on-exec, after a call that cannot
 * do it.  Returns 0, or -1 and errno has the reason. */
int aloop__set_both_flags(int fd);

/* For a call whose descriptor would be lost if it could not be moved: makes
 * sure that a number is free to move it to.  Does nothing until a descriptor
 * had to be moved.  Returns 0 and stores a number that is to be released after
 * the call, or -1; or returns -1, and errno has the reason.  `fd` is any
 * descriptor that is open. */
int aloop__number_reserve(int fd, int *ret_number);
/* Does nothing for -1, and leaves errno unchanged. */
void aloop__number_release(int number);

/* Moves two descriptors, unless `result` is -1.  Returns 0 or -1.  After a
 * failure both are closed. */
int aloop__both_above_standard(int result, int fds[2]);
/* Does the same, and makes them non-blocking and close-on-exec. */
int aloop__both_with_flags(int result, int fds[2]);

#endif
