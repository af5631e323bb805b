/* The simulated file system: the tests of the real one, and what only a
 * simulation can show. */

#define _POSIX_C_SOURCE 200809L

#include "support/file_tests.h"

#include "simulator/sim.h"
#include "simulator/sim_file.h"

static void make_folder(char *ret_path, size_t size)
{
    sim_reset(1);
    sim_file_mkdir("/tmp/folder");
    snprintf(ret_path, size, "/tmp/folder");
}

static void remove_folder(const char *path)
{
    (void) path;
    if (sim_mess()[0] != '\0')
        print_error("%s\n", sim_mess());
    sim_end();
}

static void make_fifo(const char *path)
{
    sim_file_fifo(path);
}

static void limit_size(int64_t size)
{
    sim_file_size_max(size);
}

static unsigned open_count(void)
{
    return sim_descriptors_open();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FILE_TESTS,
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
