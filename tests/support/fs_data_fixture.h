/* Whole files on the simulated system. */

#ifndef FS_DATA_FIXTURE_H
#define FS_DATA_FIXTURE_H

#include "support/file_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "os/sys_file.h"

enum { OLD_SIZE = 9000, NEW_SIZE = 14000, SEEDS = 6 };

static char old_data[OLD_SIZE], new_data[NEW_SIZE];

static inline int data_set_up(void **state)
{
    int error = set_up(state);

    memset(old_data, 'o', sizeof old_data);
    memset(new_data, 'n', sizeof new_data);
    sim_file_put("/d/a", "abc", 3);
    return error;
}

static inline ssize_t replace_whole(const char *path, const void *data,
                                    size_t size)
{
    return aloop_await(aloop_fs_replace_file(t.loop, path, data, size, 0640));
}

static inline void expect_content(const char *path, const char *text)
{
    char found[64] = "";

    assert_int_equal(sim_file_get(path, found, sizeof found), strlen(text));
    assert_string_equal(found, text);
}

static inline aloop_stat stat_of(const char *path)
{
    aloop_stat stat = {0};

    assert_int_equal(aloop_await(aloop_fs_stat(t.loop, path, &stat)), 0);
    return stat;
}

#define DATA_TEST(name) \
    cmocka_unit_test_setup_teardown(name, data_set_up, file_tear_down)

#endif
