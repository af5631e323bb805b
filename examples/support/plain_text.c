/* Output of text that another program has sent. */

#include "plain_text.h"

#include <ctype.h>

void print_plain(FILE *file, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int c = (unsigned char) text[i];

        putc(iscntrl(c) ? ' ' : c, file);
    }
}
