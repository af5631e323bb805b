/* For tests of open files: what opens, reads and writes them in the folder. */

#ifndef OPEN_FILE_FIXTURE_H
#define OPEN_FILE_FIXTURE_H

#include "support/folder_fixture.h"

static inline aloop_file *open_here(const char *name, int flags)
{
    aloop_file *file = NULL;

    assert_int_equal(aloop_await(aloop_file_open(d.loop, in_folder(name), flags,
                                                 0644, &file)),
                     0);
    assert_non_null(file);
    return file;
}

static inline ssize_t open_status(const char *path, int flags)
{
    aloop_file *file = NULL;
    ssize_t status =
        aloop_await(aloop_file_open(d.loop, path, flags, 0644, &file));

    if (status < 0)
        assert_null(file);
    aloop_file_close(file);
    return status;
}

static inline ssize_t read_file(aloop_file *file, void *buffer, size_t size)
{
    return aloop_await(aloop_file_read(file, buffer, size));
}

static inline ssize_t write_text(aloop_file *file, const char *text)
{
    return aloop_await(aloop_file_write(file, text, strlen(text)));
}

#endif
