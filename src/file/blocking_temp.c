/* Files and directories with unique names. */

#include <errno.h>
#include <string.h>

#include "file/blocking.h"

enum { UNIQUE_TRIES_MAX = 100, UNIQUE_SIZE = 6 };

/* Writes a new ending over the last characters.  The names need not be equally
 * frequent, so that the remainder of a byte is good enough. */
static int make_unique(char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    unsigned char random[UNIQUE_SIZE];
    int error = aloop__sys_random(random, sizeof random);
    char *end = name + strlen(name) - UNIQUE_SIZE;

    for (int i = 0; i < UNIQUE_SIZE && error >= 0; i++)
        end[i] = letters[random[i] % (sizeof letters - 1)];
    return error;
}

static int create_directory(const char *name)
{
    return aloop__sys_mkdirat(SYS_CWD, name, 0700);
}

static int create_file(const char *name)
{
    return aloop__sys_openat(SYS_CWD, name,
                             O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600);
}

/* Tries names until one does not exist yet.  The system checks and creates in
 * one step, so that no other process can take the name in between.  The number
 * of tries is limited for directories that are full of such names. */
static int try_names(char *name, int (*create)(const char *name))
{
    int result = -EEXIST;

    for (int i = 0; i < UNIQUE_TRIES_MAX && result == -EEXIST; i++) {
        result = make_unique(name);
        if (result >= 0)
            result = create(name);
    }
    return result;
}

int aloop__blocking_make_directory(char *name)
{
    return try_names(name, create_directory);
}

int aloop__blocking_make_file(char *name)
{
    return try_names(name, create_file);
}
