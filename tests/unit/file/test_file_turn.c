/* File operations that wait for a later turn, because this one has read and
 * opened enough on the loop's thread, on the simulated system. */

#include "support/device_fixture.h"

#include "aloop/fork.h"

enum { READS = 8, PIECE = 65536, PIECES_OF_A_TURN = 4 };

static struct {
    aloop_file *file;
    aloop_future *reads[READS];
    char bytes[READS][PIECE];
} r;

static void begin_reads(bool is_at_position)
{
    static char content[READS * PIECE];

    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (char) (i / PIECE);
    sim_file_put("/a", content, sizeof content);
    assert_int_equal(
        aloop_await(aloop_file_open(t.loop, "/a", O_RDONLY, 0, &r.file)), 0);
    aloop_step(t.loop, 0); /* The open counts, too. */
    for (int i = 0; i < READS; i++) {
        r.reads[i] = is_at_position ? aloop_file_read(r.file, r.bytes[i], PIECE)
                                    : aloop_file_read_at(r.file, r.bytes[i],
                                                         PIECE, i * PIECE);
        assert_int_equal(aloop_future_is_settled(r.reads[i]),
                         i < PIECES_OF_A_TURN);
    }
}

static void expect_reads(int first)
{
    for (int i = first; i < READS; i++) {
        assert_int_equal(aloop_await(r.reads[i]), PIECE);
        assert_int_equal(r.bytes[i][0], i);
        assert_int_equal(r.bytes[i][PIECE - 1], i);
    }
}

static void expect_reads_from(int first, bool is_at_position)
{
    expect_reads(first);
    assert_int_equal(aloop_file_position(r.file),
                     is_at_position ? READS * PIECE : 0);
    aloop_file_close(r.file);
}

static void reads_beyond_the_limit_of_a_turn_wait_for_the_next_one(void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        begin_reads(i == 1);
        expect_reads_from(0, i == 1);
        aloop_run(t.loop);
    }
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
}

/* An eviction in between is a miss of the cache. */
static void a_read_that_has_waited_for_a_turn_may_need_a_thread(void **state)
{
    (void) state;
    begin_reads(true);
    sim_file_evict("/a");
    expect_reads_from(0, true);
    assert_true(sim_calls("aloop__sys_preadv") > 0);
}

static void a_read_that_waits_for_a_turn_can_be_cancelled(void **state)
{
    (void) state;
    begin_reads(false);
    aloop_cancel(r.reads[PIECES_OF_A_TURN]);
    assert_int_equal(aloop_future_status(r.reads[PIECES_OF_A_TURN]),
                     ALOOP_ECANCELED);
    for (int i = 0; i <= PIECES_OF_A_TURN; i++)
        aloop_future_unref(r.reads[i]);
    aloop_future_unref(r.reads[PIECES_OF_A_TURN + 1]); /* It is dropped. */
    expect_reads_from(PIECES_OF_A_TURN + 2, false);
}

static void a_close_ends_reads_that_wait_for_a_turn(void **state)
{
    (void) state;
    begin_reads(true);
    aloop_file_close(r.file);
    for (int i = 0; i < READS; i++) {
        if (i >= PIECES_OF_A_TURN)
            assert_int_equal(aloop_future_status(r.reads[i]), ALOOP_ECANCELED);
        aloop_future_unref(r.reads[i]);
    }
}

static void the_end_of_the_loop_ends_reads_that_wait_for_a_turn(void **state)
{
    (void) state;
    begin_reads(false);
    for (int i = 0; i < READS; i++)
        aloop_detach(r.reads[i]);
}

static ssize_t count_turns(aloop *loop, void *arg)
{
    while (*(int *) arg >= 0) {
        ++*(int *) arg;
        aloop_yield(loop);
    }
    return 0;
}

static void a_task_that_reads_lets_others_run(void **state)
{
    int turns = 0;
    aloop_future *task = aloop_spawn(t.loop, count_turns, &turns);

    (void) state;
    begin_reads(false);
    expect_reads_from(0, false);
    assert_true(turns > 0);
    turns = -1;
    assert_int_equal(aloop_await(task), 0);
}

/* Reads as much as a turn may, in each turn. */
static ssize_t use_each_turn(aloop *loop, void *arg)
{
    static char bytes[PIECE];
    ssize_t status = 0;

    for (int i = 0; i < 100 && status >= 0; i++) {
        for (int j = 0; j < PIECES_OF_A_TURN && status >= 0; j++)
            status = aloop_await(aloop_file_read_at(arg, bytes, PIECE, 0));
        aloop_yield(loop);
    }
    return status;
}

static void others_cannot_keep_a_read_from_its_turn(void **state)
{
    aloop_future *task, *read;

    (void) state;
    begin_reads(false);
    expect_reads(0);
    task = aloop_spawn(t.loop, use_each_turn, r.file);
    aloop_step(t.loop, 0);
    read = aloop_file_read_at(r.file, r.bytes[0], PIECE, 0);
    assert_false(aloop_future_is_settled(read));
    turns(3);
    assert_int_equal(aloop_future_status(read), PIECE);
    aloop_future_unref(read);
    aloop_future_unref(task);
    aloop_file_close(r.file);
}

/* Reads as much as a turn may. */
static void use_turn(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    for (int i = 0; i < PIECES_OF_A_TURN; i++) {
        aloop_future *read = aloop_file_read_at(r.file, r.bytes[i], PIECE, 0);

        assert_true(aloop_future_is_settled(read));
        aloop_future_unref(read);
    }
}

/* Returns whether a read is over immediately. */
static bool has_room(void)
{
    aloop_future *read = aloop_file_read_at(r.file, r.bytes[0], PIECE, 0);
    bool is_settled = aloop_future_is_settled(read);

    aloop_future_unref(read);
    return is_settled;
}

static void look_for_room(aloop *loop, void *arg)
{
    (void) loop;
    *(int *) arg = has_room();
}

/* Its item of the ready queue runs although nothing waits any more. */
static void a_cancelled_read_gives_its_turn_no_more_room(void **state)
{
    int found = -1;

    (void) state;
    begin_reads(false);
    expect_reads(0);
    turns(1);
    assert_int_equal(aloop_defer(t.loop, use_turn, NULL), 0);
    use_turn(t.loop, NULL);
    assert_false(has_room());
    assert_int_equal(aloop_defer(t.loop, look_for_room, &found), 0);
    turns(1);
    assert_int_equal(found, false);
    aloop_file_close(r.file);
}

/* How often the loop has looked for events. */
static struct {
    unsigned before, after;
} looks;

static void note_look(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    if (aloop_future_is_settled(r.reads[0]))
        looks.after = sim_calls("aloop__reactor_wait");
}

/* Begins a turn, and ends without a wait: that turn is counted once. */
static ssize_t read_and_end(aloop *loop, void *arg)
{
    use_turn(loop, arg);
    r.reads[0] = aloop_file_read_at(r.file, r.bytes[0], PIECE, 0);
    looks.before = sim_calls("aloop__reactor_wait");
    return aloop_defer(loop, note_look, NULL);
}

static ssize_t await_reader(aloop *loop, void *arg)
{
    return aloop_await(aloop_spawn(loop, read_and_end, arg));
}

static void the_loop_looks_for_events_before_a_later_turn(void **state)
{
    (void) state;
    begin_reads(false);
    expect_reads(0);
    turns(1);
    aloop_detach(aloop_spawn(t.loop, await_reader, NULL));
    aloop_run(t.loop);
    assert_int_equal(aloop_await(r.reads[0]), PIECE);
    assert_true(looks.after > looks.before);
    aloop_file_close(r.file);
}

/* Has a turn receive a byte, and `quiet` turns receive nothing. */
static void receive_byte(int quiet)
{
    aloop_stream *from, *to;
    char byte;

    assert_int_equal(aloop_stream_pair(t.loop, &from, &to), 0);
    assert_int_equal(aloop_stream_put(from, "x", 1), 0);
    assert_int_equal(aloop_await(aloop_stream_read(to, &byte, 1)), 1);
    aloop_stream_close(from);
    aloop_stream_close(to);
    turns(quiet);
}

/* Returns how many pieces the next turn reads. */
static int pieces_after_event(int quiet)
{
    aloop_future *reads[PIECES_OF_A_TURN];
    int count = 0;

    receive_byte(quiet);
    for (int i = 0; i < PIECES_OF_A_TURN; i++) {
        reads[i] = aloop_file_read_at(r.file, r.bytes[i], PIECE, i * PIECE);
        count += aloop_future_is_settled(reads[i]);
    }
    for (int i = 0; i < PIECES_OF_A_TURN; i++)
        assert_int_equal(aloop_await(reads[i]), PIECE);
    return count;
}

/* What a turn reads is time that its peers wait. */
static void a_turn_of_a_busy_loop_reads_less(void **state)
{
    (void) state;
    begin_reads(false);
    expect_reads(0);
    assert_int_equal(pieces_after_event(0), 1);
    assert_int_equal(pieces_after_event(14), 1);
    assert_int_equal(pieces_after_event(16), PIECES_OF_A_TURN);
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
    aloop_file_close(r.file);
}

/* Opens and whole files. */

enum { FILES = 40, OPENS_OF_A_TURN = 32, FILE_SIZE = 10 };

static struct {
    unsigned descriptors, threads;
    aloop_future *futures[FILES];
    aloop_file *files[FILES];
    void *data[FILES];
} o;

/* Begins more of them than a turn may do. */
static void begin_all(bool is_open)
{
    memset(&o, 0, sizeof o);
    o.descriptors = sim_descriptors_open();
    o.threads = sim_calls("aloop__sys_thread_start");
    aloop_step(t.loop, 0);
    for (int i = 0; i < FILES; i++)
        o.futures[i] =
            is_open ? aloop_file_open(t.loop, "/a", O_RDONLY, 0, &o.files[i])
                    : aloop_fs_read_file(t.loop, "/a", FILE_SIZE, &o.data[i]);
    assert_true(aloop_future_is_settled(o.futures[0]));
    assert_false(aloop_future_is_settled(o.futures[FILES - 1]));
}

/* The second kind, after the first one, has a system and a loop of its own. */
static void begin_all_apart(void **state, bool is_open)
{
    if (is_open)
        assert_int_equal(tear_down_device(state) + set_up_local(state), 0);
    begin_all(is_open);
}

static void expect_status(int i, bool is_open)
{
    assert_int_equal(aloop_await(o.futures[i]), is_open ? 0 : FILE_SIZE);
    if (is_open)
        assert_non_null(o.files[i]);
    else
        assert_string_equal(o.data[i], "0123456789");
}

/* Closes and frees what there is of each. */
static void drop_results(void)
{
    for (int i = 0; i < FILES; i++) {
        aloop_file_close(o.files[i]);
        aloop_data_free(t.loop, o.data[i]);
    }
    aloop_run(t.loop);
    assert_int_equal(sim_descriptors_open(), o.descriptors);
}

static void opens_and_whole_files_beyond_the_limit_wait_for_a_later_turn(
    void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        begin_all(is_open);
        for (int i = 0; i < FILES; i++)
            expect_status(i, is_open);
        drop_results();
        assert_int_equal(sim_calls("aloop__sys_thread_start"), o.threads);
        assert_int_equal(sim_calls("aloop__sys_openat"), 0);
    }
}

/* An open counts as 8 KiB. */
static void a_turn_of_a_busy_loop_opens_less(void **state)
{
    enum { OPENS_OF_A_BUSY_TURN = 8 };

    (void) state;
    receive_byte(0);
    for (int i = 0; i < FILES; i++) {
        o.futures[i] = aloop_file_open(t.loop, "/a", O_RDONLY, 0, &o.files[i]);
        assert_int_equal(aloop_future_is_settled(o.futures[i]),
                         i < OPENS_OF_A_BUSY_TURN);
    }
    for (int i = 0; i < FILES; i++) {
        assert_int_equal(aloop_await(o.futures[i]), 0);
        aloop_file_close(o.files[i]);
    }
}

static void an_open_that_has_waited_for_a_turn_is_like_any_other(void **state)
{
    aloop_file *file;
    char text[FILE_SIZE + 1] = "";

    (void) state;
    begin_all(true);
    for (int i = 0; i < FILES; i++)
        expect_status(i, true);
    file = o.files[FILES - 1];
    assert_int_equal(aloop_await(aloop_file_read(file, text, 4)), 4);
    assert_int_equal(aloop_await(aloop_file_read(file, text + 4, 9)), 6);
    assert_string_equal(text, "0123456789");
    assert_int_equal(aloop_file_position(file), FILE_SIZE);
    drop_results();
    assert_int_equal(sim_calls("aloop__sys_preadv"), 0);
}

/* Reads whole files one after the other.  Also the name is looked up only
 * once. */
static ssize_t read_1000(aloop *loop, void *arg)
{
    (void) arg;
    for (int i = 0; i < 1000; i++) {
        void *data = NULL;

        if (aloop_await(aloop_fs_read_file(loop, "/a", 100, &data)) !=
            FILE_SIZE)
            return -1;
        aloop_data_free(loop, data);
    }
    return 0;
}

static void a_thousand_cached_files_in_a_row_need_no_thread(void **state)
{
    unsigned threads = sim_calls("aloop__sys_thread_start");

    (void) state;
    assert_int_equal(read_1000(t.loop, NULL), 0);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, read_1000, NULL)), 0);
    assert_int_equal(sim_calls("aloop__sys_thread_start"), threads);
    assert_int_equal(sim_calls("aloop__sys_openat"), 0);
    assert_int_equal(sim_calls("aloop__sys_pread_cached"), 2000);
    assert_int_equal(sim_calls("aloop__sys_open_near_cached"), 1999);
    assert_int_equal(sim_calls("aloop__sys_open_cached"), 1);
    assert_int_equal(sim_calls("aloop__sys_look_up_cached"), 2);
}

/* The name may have left the cache, or the file. */
static void what_has_waited_for_a_turn_may_need_a_thread(void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        unsigned before = sim_calls("aloop__sys_openat");

        begin_all(is_open);
        if (is_open)
            sim_fail("aloop__sys_look_up_cached", 1, -EAGAIN);
        else
            sim_fail("aloop__sys_open_near_cached", 1, -EAGAIN);
        sim_fail("aloop__sys_open_cached", 1, -EAGAIN);
        for (int i = 0; i < FILES; i++)
            expect_status(i, is_open);
        drop_results();
        assert_true(sim_calls("aloop__sys_openat") > before);
    }
}

static void what_waits_for_a_turn_can_be_cancelled_and_dropped(void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        unsigned opens;

        begin_all(is_open);
        opens = sim_calls("aloop__sys_open_cached") +
                sim_calls("aloop__sys_open_near_cached");
        aloop_cancel(o.futures[FILES - 1]);
        assert_int_equal(aloop_future_status(o.futures[FILES - 1]),
                         ALOOP_ECANCELED);
        aloop_future_unref(o.futures[FILES - 1]);
        aloop_future_unref(o.futures[FILES - 2]);
        for (int i = 0; i < FILES - 2; i++)
            opens += !aloop_future_is_settled(o.futures[i]);
        for (int i = 0; i < FILES - 2; i++)
            expect_status(i, is_open);
        assert_int_equal(sim_calls("aloop__sys_open_cached") +
                             sim_calls("aloop__sys_open_near_cached"),
                         opens);
        for (int i = FILES - 2; i < FILES; i++) {
            assert_null(o.files[i]);
            assert_null(o.data[i]);
        }
        drop_results();
    }
}

/* The end of a deadline, of the run, of the loop and of the process. */

static void a_deadline_ends_what_waits_for_a_turn(void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        int ended = 0;

        begin_all(is_open);
        for (int i = 0; i < FILES; i++)
            o.futures[i] = aloop_timeout(o.futures[i], 0);
        for (int i = 0; i < FILES; i++)
            ended += aloop_await(o.futures[i]) == ALOOP_ETIMEDOUT;
        assert_true(ended > 0);
        for (int i = 0; i < FILES; i++)
            ended += (is_open ? (void *) o.files[i] : o.data[i]) != NULL;
        assert_int_equal(ended, FILES);
        drop_results();
    }
}

/* The next one at the position gets the bytes. */
static void a_deadline_ends_the_first_of_the_reads_that_wait(void **state)
{
    enum { LATE = PIECES_OF_A_TURN };

    (void) state;
    begin_reads(true);
    r.reads[LATE] = aloop_timeout(r.reads[LATE], 0);
    for (int i = 0; i < READS; i++)
        assert_int_equal(aloop_await(r.reads[i]),
                         i == LATE ? ALOOP_ETIMEDOUT : PIECE);
    assert_int_equal(r.bytes[LATE + 1][0], LATE);
    assert_int_equal(aloop_file_position(r.file), (READS - 1) * PIECE);
    aloop_file_close(r.file);
}

static ssize_t run_into_deadline(aloop *loop, void *arg)
{
    aloop_deadline *deadline = aloop_deadline_begin(loop, 0);
    ssize_t status = 0;
    int i = 0;

    (void) arg;
    for (; i <= PIECES_OF_A_TURN && status >= 0; i++)
        status = aloop_await(aloop_file_read_at(r.file, r.bytes[i], PIECE, 0));
    assert_int_equal(i, PIECES_OF_A_TURN + 1);
    assert_true(aloop_deadline_end(deadline));
    return status == ALOOP_ETIMEDOUT ? 0 : -1;
}

static void a_deadline_over_an_await_ends_a_read_that_waits(void **state)
{
    (void) state;
    begin_reads(false);
    expect_reads(0);
    assert_int_equal(aloop_await(aloop_spawn(t.loop, run_into_deadline, NULL)),
                     0);
    aloop_file_close(r.file);
}

static void a_file_with_reads_that_wait_for_a_turn_is_not_detached(void **state)
{
    int fd;

    (void) state;
    begin_reads(false);
    assert_int_equal(aloop_file_detach(r.file), ALOOP_EBUSY);
    expect_reads(0);
    fd = aloop_file_detach(r.file);
    assert_true(fd >= 0);
    aloop__sys_close(fd);
}

static void stop_loop(aloop *loop, void *arg)
{
    (void) arg;
    aloop_stop(loop);
}

static void what_waits_for_a_turn_is_begun_after_the_loop_was_stopped(
    void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        begin_all(is_open);
        aloop_defer(t.loop, stop_loop, NULL);
        aloop_stop(t.loop);
        assert_int_equal(aloop_run(t.loop), 1);
        assert_false(aloop_future_is_settled(o.futures[FILES - 1]));
        assert_int_equal(aloop_run(t.loop), 1);
        assert_int_equal(aloop_run(t.loop), 0);
        for (int i = 0; i < FILES; i++) {
            assert_true(aloop_future_is_settled(o.futures[i]));
            expect_status(i, is_open);
        }
        drop_results();
    }
}

static void detach_all(void)
{
    for (int i = 0; i < FILES; i++)
        aloop_detach(o.futures[i]);
}

static void the_end_of_the_loop_ends_what_waits_for_a_turn(void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        begin_all_apart(state, is_open);
        detach_all();
        assert_int_equal(aloop_free(t.loop), 0);
        t.loop = NULL;
        assert_int_equal(sim_calls("aloop__sys_openat"), 0);
        assert_null(o.files[FILES - 1]);
        assert_null(o.data[FILES - 1]);
    }
}

static void a_forked_child_does_what_waits_for_a_turn(void **state)
{
    (void) state;
    for (int is_open = 0; is_open < 2; is_open++) {
        begin_all_apart(state, is_open);
        sim_fork();
        assert_int_equal(aloop_after_fork(t.loop), 0);
        for (int i = 0; i < FILES; i++)
            expect_status(i, is_open);
        drop_results();
    }
}

static void a_forked_child_does_reads_that_wait_for_a_turn(void **state)
{
    (void) state;
    begin_reads(true);
    sim_fork();
    assert_int_equal(aloop_after_fork(t.loop), 0);
    expect_reads_from(0, true);
}

static void detach_reads(void)
{
    for (int i = 0; i < READS; i++)
        aloop_detach(r.reads[i]);
}

static void a_child_that_does_not_adopt_the_loop_frees_what_waits(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            assert_int_equal(tear_down_device(state) + set_up_local(state), 0);
        if (i < 2)
            begin_all(i);
        else
            begin_reads(true);
        if (i < 2)
            detach_all();
        else
            detach_reads();
        sim_fork();
        assert_int_equal(aloop_free(t.loop), 0);
        t.loop = NULL;
        assert_int_equal(sim_harms(), 0);
        assert_int_equal(sim_calls("aloop__sys_openat"), 0);
    }
}

#undef TEST
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_local, tear_down_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_beyond_the_limit_of_a_turn_wait_for_the_next_one),
        TEST(a_read_that_has_waited_for_a_turn_may_need_a_thread),
        TEST(a_read_that_waits_for_a_turn_can_be_cancelled),
        TEST(a_close_ends_reads_that_wait_for_a_turn),
        TEST(the_end_of_the_loop_ends_reads_that_wait_for_a_turn),
        TEST(a_task_that_reads_lets_others_run),
        TEST(others_cannot_keep_a_read_from_its_turn),
        TEST(a_cancelled_read_gives_its_turn_no_more_room),
        TEST(the_loop_looks_for_events_before_a_later_turn),
        TEST(a_turn_of_a_busy_loop_reads_less),
        TEST(a_turn_of_a_busy_loop_opens_less),
        TEST(opens_and_whole_files_beyond_the_limit_wait_for_a_later_turn),
        TEST(an_open_that_has_waited_for_a_turn_is_like_any_other),
        TEST(a_thousand_cached_files_in_a_row_need_no_thread),
        TEST(what_has_waited_for_a_turn_may_need_a_thread),
        TEST(what_waits_for_a_turn_can_be_cancelled_and_dropped),
        TEST(a_deadline_ends_what_waits_for_a_turn),
        TEST(a_deadline_ends_the_first_of_the_reads_that_wait),
        TEST(a_deadline_over_an_await_ends_a_read_that_waits),
        TEST(a_file_with_reads_that_wait_for_a_turn_is_not_detached),
        TEST(what_waits_for_a_turn_is_begun_after_the_loop_was_stopped),
        TEST(the_end_of_the_loop_ends_what_waits_for_a_turn),
        TEST(a_forked_child_does_what_waits_for_a_turn),
        TEST(a_forked_child_does_reads_that_wait_for_a_turn),
        TEST(a_child_that_does_not_adopt_the_loop_frees_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
