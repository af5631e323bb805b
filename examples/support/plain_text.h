/* Output of text that another program has sent. */

#ifndef EXAMPLES_PLAIN_TEXT_H
#define EXAMPLES_PLAIN_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Prints `size` bytes of text with a space for each control character, so that
 * it stays on one line and sends no commands to a terminal. */
void print_plain(FILE *file, const char *text, size_t size);

#endif
