/* The second half of file_tests.h: names, directories, FIFOs and the cached
 * calls. */

#ifndef FILE_NAME_TESTS_H
#define FILE_NAME_TESTS_H

static void a_removed_file_stays_usable_while_it_is_open(void **state)
{
    aloop_stat status;
    int fd = create("a");

    (void) state;
    put(fd, "x", 0);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "a"), 0);
    assert_false(exists("a"));
    expect_text(fd, "x");
    assert_int_equal(aloop__sys_fstat(fd, &status), 0);
    assert_int_equal(status.links, 0);
    aloop__sys_close(fd);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "a"), -ENOENT);
}

static void a_directory_is_removed_only_if_it_is_empty(void **state)
{
    int error;

    (void) state;
    make_directory("dir");
    create_with("dir/a", "");
    error = aloop__sys_unlinkat(ft.folder, "dir");
    assert_true(error == -EISDIR || error == -EPERM);
    error = aloop__sys_rmdirat(ft.folder, "dir");
    assert_true(error == -ENOTEMPTY || error == -EEXIST);
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "dir/a"), -ENOTDIR);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "dir/a"), 0);
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "dir"), 0);
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "dir"), -ENOENT);
}

static void a_directory_is_created_once(void **state)
{
    (void) state;
    assert_int_equal(aloop__sys_mkdirat(ft.folder, "dir/in", 0700), -ENOENT);
    make_directory("dir");
    assert_int_equal(stat_of("dir").mode & 0777, 0700);
    assert_int_equal(aloop__sys_mkdirat(ft.folder, "dir", 0700), -EEXIST);
    create_with("a", "");
    assert_int_equal(aloop__sys_mkdirat(ft.folder, "a", 0700), -EEXIST);
    assert_int_equal(aloop__sys_mkdirat(ft.folder, "a/b", 0700), -ENOTDIR);
    make_directory("dir/in/");
    assert_true(exists("dir/in"));
}

static int rename_to(const char *from, const char *to)
{
    return aloop__sys_renameat(ft.folder, from, ft.folder, to);
}

static void a_rename_replaces_the_target(void **state)
{
    int fd;

    (void) state;
    create_with("a", "new");
    create_with("b", "old");
    fd = open_at("b", O_RDONLY);
    assert_int_equal(rename_to("a", "b"), 0);
    assert_false(exists("a"));
    expect_content("b", "new");
    expect_text(fd, "old");
    aloop__sys_close(fd);
    assert_int_equal(rename_to("b", "b"), 0);
    expect_content("b", "new");
    assert_int_equal(rename_to("none", "b"), -ENOENT);
    assert_int_equal(rename_to("b", "none/b"), -ENOENT);
}

static void a_rename_does_not_mix_files_and_directories(void **state)
{
    int error;

    (void) state;
    create_with("file", "");
    make_directory("dir");
    make_directory("full");
    create_with("full/a", "a");
    assert_int_equal(rename_to("file", "dir"), -EISDIR);
    assert_int_equal(rename_to("dir", "file"), -ENOTDIR);
    error = rename_to("dir", "full");
    assert_true(error == -ENOTEMPTY || error == -EEXIST);
    assert_int_equal(rename_to("full", "full/in"), -EINVAL);
    assert_int_equal(rename_to("full", "dir"), 0);
    expect_content("dir/a", "a");
    assert_false(exists("full"));
}

static void two_names_of_a_file_share_it(void **state)
{
    (void) state;
    create_with("a", "x");
    assert_int_equal(aloop__sys_linkat(ft.folder, "a", ft.folder, "b"), 0);
    assert_int_equal(stat_of("a").links, 2);
    assert_int_equal(stat_of("a").inode, stat_of("b").inode);
    assert_int_equal(aloop__sys_linkat(ft.folder, "a", ft.folder, "b"),
                     -EEXIST);
    assert_int_equal(rename_to("a", "b"), 0); /* Has no effect. */
    assert_true(exists("a"));
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "a"), 0);
    expect_content("b", "x");
    assert_int_equal(stat_of("b").links, 1);
    make_directory("dir");
    assert_int_equal(aloop__sys_linkat(ft.folder, "dir", ft.folder, "c"),
                     -EPERM);
    assert_int_equal(aloop__sys_linkat(ft.folder, "none", ft.folder, "c"),
                     -ENOENT);
}

static void link_to(const char *target, const char *name)
{
    assert_int_equal(aloop__sys_symlinkat(target, ft.folder, name), 0);
}

static void a_symbolic_link_is_followed_unless_it_is_the_object(void **state)
{
    aloop_stat status;

    (void) state;
    make_directory("dir");
    create_with("dir/a", "text");
    link_to("a", "dir/link");
    link_to("dir", "way");
    expect_content("way/link", "text");
    assert_int_equal(stat_of("dir/link").type, ALOOP_FILE_LINK);
    assert_int_equal(stat_of("dir/link").size, 1);
    assert_int_equal(aloop__sys_statat(ft.folder, "way/link", true, &status),
                     0);
    assert_int_equal(status.type, ALOOP_FILE_REGULAR);
    assert_true(open_at("dir/link", O_RDONLY | O_NOFOLLOW) < 0);
    assert_true(open_at("way", O_RDONLY | O_NOFOLLOW | O_DIRECTORY) < 0);
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "way"), -ENOTDIR);
    assert_int_equal(aloop__sys_unlinkat(ft.folder, "dir/link"), 0);
    assert_true(exists("dir/a"));
    assert_int_equal(aloop__sys_symlinkat("x", ft.folder, "way"), -EEXIST);
}

/* The removal of a tree relies on this. */
static void a_directory_is_opened_through_a_link_only_if_asked(void **state)
{
    int fd;

    (void) state;
    make_directory("dir");
    link_to("dir", "way");
    create_with("a", "");
    assert_true(aloop__sys_open_directory(ft.folder, "way", false) < 0);
    assert_int_equal(aloop__sys_open_directory(ft.folder, "a", true), -ENOTDIR);
    fd = aloop__sys_open_directory(ft.folder, "way", true);
    assert_true(fd >= 0);
    aloop__sys_close(fd);
    fd = aloop__sys_open_directory(ft.folder, "dir", false);
    assert_true(fd >= 0);
    aloop__sys_close(fd);
}

static void a_link_without_an_end_is_an_error(void **state)
{
    aloop_stat status;
    int fd;

    (void) state;
    link_to("b", "a");
    link_to("a", "b");
    assert_int_equal(open_at("a", O_RDONLY), -ELOOP);
    assert_int_equal(aloop__sys_statat(ft.folder, "a/c", true, &status),
                     -ELOOP);
    link_to("none", "c");
    assert_int_equal(open_at("c", O_RDONLY), -ENOENT);
    assert_int_equal(open_at("c", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    fd = open_at("c", O_RDWR | O_CREAT); /* Creates what it points to. */
    assert_true(fd >= 0);
    aloop__sys_close(fd);
    assert_int_equal(stat_of("none").type, ALOOP_FILE_REGULAR);
}

static void the_text_of_a_link_can_be_cut(void **state)
{
    char text[8] = "#######";

    (void) state;
    link_to("target", "link");
    create_with("a", "");
    assert_int_equal(aloop__sys_readlinkat(ft.folder, "link", text, 8), 6);
    assert_memory_equal(text, "target#", 7);
    assert_int_equal(aloop__sys_readlinkat(ft.folder, "link", text, 3), 3);
    assert_int_equal(aloop__sys_readlinkat(ft.folder, "a", text, 8), -EINVAL);
    assert_int_equal(aloop__sys_readlinkat(ft.folder, "none", text, 8),
                     -ENOENT);
}

static void a_real_path_has_no_links_and_dots(void **state)
{
    char path[SYS_PATH_MAX];

    (void) state;
    make_directory("dir");
    create_with("dir/a", "");
    link_to("dir", "link");
    assert_int_equal(aloop__sys_realpath(path_of("link/../link//./a"), path),
                     0);
    assert_string_equal(path, path_of("dir/a"));
    assert_int_equal(aloop__sys_realpath(path_of("link/"), path), 0);
    assert_string_equal(path, path_of("dir"));
    assert_int_equal(aloop__sys_realpath("/", path), 0);
    assert_string_equal(path, "/");
    assert_int_equal(aloop__sys_realpath(path_of("none"), path), -ENOENT);
    assert_int_equal(aloop__sys_realpath(path_of("dir/a/b"), path), -ENOTDIR);
    assert_int_equal(aloop__sys_realpath("", path), -ENOENT);
}

/* Directories. */

static struct sys_dir *open_dir(const char *name)
{
    struct sys_dir *dir = NULL;
    int fd = open_at(name, O_RDONLY | O_DIRECTORY);

    assert_true(fd >= 0);
    assert_int_equal(aloop__sys_dir_open(fd, &dir), 0);
    return dir;
}

static void a_directory_lists_each_name_once_with_its_type(void **state)
{
    struct sys_dir *dir;

    (void) state;
    create_with("file", "");
    make_directory("dir");
    link_to("none", "link");
    dir = open_dir(".");
    for (int pass = 0; pass < 2; pass++) {
        static const struct {
            const char *name;
            aloop_file_type type;
        } names[] = {
            {"file", ALOOP_FILE_REGULAR},
            {"dir", ALOOP_FILE_DIRECTORY},
            {"link", ALOOP_FILE_LINK},
        };
        struct sys_dir_entry entry;
        unsigned found = 0, count = 0;

        while (aloop__sys_dir_read(dir, &entry) == 1) {
            count++;
            for (unsigned i = 0; i < 3; i++)
                if (strcmp(entry.name, names[i].name) == 0) {
                    found |= 1u << i;
                    assert_true(entry.type == names[i].type ||
                                entry.type == ALOOP_FILE_UNKNOWN);
                    assert_int_equal(entry.inode, stat_of(entry.name).inode);
                }
        }
        assert_int_equal(count, 3);
        assert_int_equal(found, 7);
        assert_int_equal(aloop__sys_dir_read(dir, &entry), 0);
        aloop__sys_dir_rewind(dir);
    }
    aloop__sys_dir_close(dir);
}

static void names_can_be_removed_while_they_are_listed(void **state)
{
    struct sys_dir_entry entry;
    struct sys_dir *dir;
    int removed = 0;

    (void) state;
    make_directory("dir");
    for (int i = 0; i < MANY; i++) {
        char name[32];

        snprintf(name, sizeof name, "dir/%d", i);
        create_with(name, "");
    }
    dir = open_dir("dir");
    while (aloop__sys_dir_read(dir, &entry) == 1) {
        assert_int_equal(
            aloop__sys_unlinkat(aloop__sys_dir_fd(dir), entry.name), 0);
        removed++;
    }
    aloop__sys_dir_close(dir);
    assert_int_equal(removed, MANY);
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "dir"), 0);
}

static void only_a_directory_can_be_listed(void **state)
{
    struct sys_dir *dir = NULL;

    (void) state;
    assert_int_equal(aloop__sys_dir_open(create("a"), &dir), -ENOTDIR);
    assert_int_equal(aloop__sys_dir_open(-1, &dir), -EBADF);
    assert_null(dir);
}

static void a_removed_directory_is_empty(void **state)
{
    struct sys_dir_entry entry;
    struct sys_dir *dir;

    (void) state;
    make_directory("dir");
    dir = open_dir("dir");
    assert_int_equal(aloop__sys_rmdirat(ft.folder, "dir"), 0);
    assert_int_equal(aloop__sys_dir_read(dir, &entry), 0);
    assert_int_equal(aloop__sys_mkdirat(aloop__sys_dir_fd(dir), "in", 0700),
                     -ENOENT);
    aloop__sys_dir_close(dir);
}

static void a_forgotten_directory_is_closed(void **state)
{
    struct sys_dir_entry entry;
    struct sys_dir *dir;
    int fd;

    (void) state;
    make_directory("dir");
    create_with("dir/a", "");
    dir = open_dir("dir");
    fd = aloop__sys_dir_fd(dir);
    assert_int_equal(aloop__sys_dir_read(dir, &entry), 1);
    aloop__sys_dir_forget(dir);
    assert_int_equal(create("b"), fd); /* The lowest number that is free. */
    aloop__sys_close(fd);
}

/* FIFOs. */

static void a_fifo_has_no_position(void **state)
{
    const struct sys_piece pieces[] = {{"a", 1}, {"bc", 2}};
    char text[8] = "";
    int reader, writer;

    (void) state;
    make_fifo(path_of("fifo"));
    assert_int_equal(stat_of("fifo").type, ALOOP_FILE_FIFO);
    assert_int_equal(open_at("fifo", O_WRONLY | O_NONBLOCK), -ENXIO);
    reader = open_at("fifo", O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(aloop__sys_read(reader, text, 8), 0);
    writer = open_at("fifo", O_WRONLY | O_NONBLOCK);
    assert_true(writer >= 0);
    assert_int_equal(aloop__sys_read(reader, text, 8), -EAGAIN);
    assert_int_equal(aloop__sys_writev(writer, pieces, 2), 3);
    assert_int_equal(get(reader, text, 8, 0), -ESPIPE);
    assert_int_equal(put(writer, "x", 0), -ESPIPE);
    assert_int_equal(aloop__sys_seek(reader, 0, SYS_SEEK_CURRENT), -ESPIPE);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(aloop__sys_read(reader, text + i, 1), 1);
    assert_string_equal(text, "abc");
    aloop__sys_close(writer);
    assert_int_equal(aloop__sys_read(reader, text, 8), 0);
    aloop__sys_close(reader);
}

static void a_write_without_a_reader_raises_no_signal(void **state)
{
    const struct sys_piece piece = {"a", 1};
    int reader, writer;

    (void) state;
    make_fifo(path_of("fifo"));
    reader = open_at("fifo", O_RDONLY | O_NONBLOCK);
    writer = open_at("fifo", O_WRONLY | O_NONBLOCK);
    aloop__sys_close(reader);
    assert_int_equal(aloop__sys_writev(writer, &piece, 1), -EPIPE);
    aloop__sys_close(writer);
}

static void a_full_fifo_takes_no_more(void **state)
{
    static char block[4096];
    const struct sys_piece piece = {block, sizeof block};
    ssize_t count, total = 0;
    int reader, writer;

    (void) state;
    make_fifo(path_of("fifo"));
    reader = open_at("fifo", O_RDONLY | O_NONBLOCK);
    writer = open_at("fifo", O_WRONLY | O_NONBLOCK);
    while ((count = aloop__sys_writev(writer, &piece, 1)) > 0)
        total += count;
    assert_int_equal(count, -EAGAIN);
    assert_true(total >= 4096);
    while ((count = aloop__sys_read(reader, block, sizeof block)) > 0)
        total -= count;
    assert_int_equal(count, -EAGAIN);
    assert_int_equal(total, 0);
    aloop__sys_close(reader);
    aloop__sys_close(writer);
}

/* The cached calls: they are right or refuse. */

static void a_cached_open_opens_the_file_or_refuses(void **state)
{
    aloop_stat status;
    uint64_t mount;
    int fd;

    (void) state;
    create_with("a", "text");
    fd = aloop__sys_open_cached(path_of("a"), O_RDONLY);
    if (fd >= 0) {
        expect_text(fd, "text");
        assert_true((aloop__sys_file_flags(fd) & O_NONBLOCK) != 0);
        assert_int_equal(aloop__sys_close(fd), 0);
    }
    fd = aloop__sys_open_near_cached(path_of("a"), O_RDONLY);
    if (fd >= 0) {
        expect_text(fd, "text");
        assert_true((aloop__sys_file_flags(fd) & O_NONBLOCK) != 0);
        assert_int_equal(aloop__sys_close(fd), 0);
    }
    fd = aloop__sys_look_up_cached(path_of("a"));
    if (fd >= 0) {
        int error = aloop__sys_fstat_cached(fd, &status, &mount);

        if (error == 0)
            assert_int_equal(status.inode, stat_of("a").inode);
        assert_int_equal(get(fd, &status, 1, 0), -EBADF);
        assert_int_equal(aloop__sys_close(fd), 0);
    }
    fd = aloop__sys_open_cached(path_of("b"), O_RDWR | O_CREAT);
    assert_true(fd < 0);
    assert_false(exists("b"));
    assert_true(aloop__sys_open_cached(path_of("a/b"), O_RDONLY) < 0);
    assert_true(aloop__sys_look_up_cached(path_of("none")) < 0);
}

static void a_cached_read_is_right_or_refused(void **state)
{
    char text[8] = "";
    int fd = create("a");
    ssize_t count;

    (void) state;
    put(fd, "t", 0);
    count = aloop__sys_pread_cached(fd, text, 8, 0);
    if (count >= 0)
        assert_string_equal(text, "t");
    count = aloop__sys_pread_cached(fd, text, 8, FAR);
    assert_true(count <= 0);
    assert_true(aloop__sys_pread_cached(fd, text, 8, -1) < 0);
    assert_true(aloop__sys_pread_cached(ft.folder, text, 8, 0) < 0);
    assert_true(aloop__sys_pread_cached(-1, text, 8, 0) < 0);
    aloop__sys_close(fd);
}

static void cached_attributes_are_the_attributes(void **state)
{
    aloop_stat cached, status;
    uint64_t mount;
    int fd = create("a"), error;

    (void) state;
    memset(&cached, 0, sizeof cached);
    memset(&status, 0, sizeof status);
    put(fd, "text", 0);
    error = aloop__sys_fstat_cached(fd, &cached, &mount);
    assert_int_equal(aloop__sys_fstat(fd, &status), 0);
    if (error == 0) {
        assert_int_equal(cached.type, status.type);
        assert_int_equal(cached.mode, status.mode);
        assert_int_equal(cached.size, status.size);
        assert_int_equal(cached.device, status.device);
        assert_int_equal(cached.inode, status.inode);
        assert_int_equal(cached.links, status.links);
        assert_int_equal(cached.user, status.user);
        assert_int_equal(cached.group, status.group);
        assert_int_equal(cached.modified_ns, status.modified_ns);
        assert_int_equal(cached.changed_ns, status.changed_ns);
    } else
        assert_int_equal(error, -ENOSYS);
    assert_true(aloop__sys_fstat_cached(-1, &cached, &mount) < 0);
    aloop__sys_close(fd);
}

static void random_bytes_differ(void **state)
{
    unsigned char a[64] = {0}, b[64] = {0};

    (void) state;
    assert_int_equal(aloop__sys_random(a, sizeof a), 0);
    assert_int_equal(aloop__sys_random(b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

#define FILE_NAME_TESTS \
    FILE_TEST(a_removed_file_stays_usable_while_it_is_open), \
        FILE_TEST(a_directory_is_removed_only_if_it_is_empty), \
        FILE_TEST(a_directory_is_created_once), \
        FILE_TEST(a_rename_replaces_the_target), \
        FILE_TEST(a_rename_does_not_mix_files_and_directories), \
        FILE_TEST(two_names_of_a_file_share_it), \
        FILE_TEST(a_symbolic_link_is_followed_unless_it_is_the_object), \
        FILE_TEST(a_directory_is_opened_through_a_link_only_if_asked), \
        FILE_TEST(a_link_without_an_end_is_an_error), \
        FILE_TEST(the_text_of_a_link_can_be_cut), \
        FILE_TEST(a_real_path_has_no_links_and_dots), \
        FILE_TEST(a_directory_lists_each_name_once_with_its_type), \
        FILE_TEST(names_can_be_removed_while_they_are_listed), \
        FILE_TEST(only_a_directory_can_be_listed), \
        FILE_TEST(a_removed_directory_is_empty), \
        FILE_TEST(a_forgotten_directory_is_closed), \
        FILE_TEST(a_fifo_has_no_position), \
        FILE_TEST(a_write_without_a_reader_raises_no_signal), \
        FILE_TEST(a_full_fifo_takes_no_more), \
        FILE_TEST(a_cached_open_opens_the_file_or_refuses), \
        FILE_TEST(a_cached_read_is_right_or_refused), \
        FILE_TEST(cached_attributes_are_the_attributes), \
        FILE_TEST(random_bytes_differ)

#endif
