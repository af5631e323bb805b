/* Tests of channels: every item that was sent is received once, in order. */

#include "support/fixture.h"

enum { WORKERS_MAX = 8 };

/* A task that sends or receives one item, and its result. */
struct worker {
    aloop_channel *channel;
    int item; /* The item that is sent or received. */
    ssize_t status;
    aloop_future *task;
};

static ssize_t send_one(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status =
        aloop_await(aloop_channel_send(worker->channel, &worker->item));
    return worker->status;
}

static ssize_t receive_one(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status =
        aloop_await(aloop_channel_receive(worker->channel, &worker->item));
    if (worker->status == 0)
        note(worker->item);
    return worker->status;
}

/* Spawns `count` workers.  Senders have the items 1, 2, 3...; receivers have
 * -1. */
static void spawn(struct worker *workers, int count, aloop_task_fn fn,
                  aloop_channel *channel)
{
    for (int i = 0; i < count; i++) {
        workers[i].channel = channel;
        workers[i].item = fn == send_one ? i + 1 : -1;
        workers[i].status = ALOOP_PENDING;
        workers[i].task = aloop_spawn(t.loop, fn, &workers[i]);
    }
}

/* Ends the workers before the objects that they use are freed. */
static void drop_workers(struct worker *workers, int count)
{
    for (int i = 0; i < count; i++)
        aloop_future_unref(workers[i].task);
    turns(5);
}

static aloop_channel *new_channel(size_t capacity)
{
    return aloop_channel_new(t.loop, sizeof(int), capacity);
}

/* Returns the result of aloop_channel_try_send(). */
static int try_send(aloop_channel *channel, int item)
{
    return aloop_channel_try_send(channel, &item);
}

/* Returns the item that aloop_channel_try_receive() stored, or its error. */
static int try_receive(aloop_channel *channel)
{
    int item = 0;
    int error = aloop_channel_try_receive(channel, &item);

    return error < 0 ? error : item;
}

static void items_are_received_in_the_order_in_which_they_were_sent(
    void **state)
{
    aloop_channel *channel = new_channel(3);

    (void) state;
    for (int round = 0; round < 5; round++) {
        assert_int_equal(try_send(channel, 1), 0);
        assert_int_equal(try_send(channel, 2), 0);
        assert_int_equal(aloop_channel_count(channel), 2);
        assert_int_equal(try_receive(channel), 1);
        assert_int_equal(try_receive(channel), 2);
    }
    assert_int_equal(try_receive(channel), ALOOP_EAGAIN);
    assert_int_equal(aloop_channel_capacity(channel), 3);
}

static void a_full_channel_makes_senders_wait(void **state)
{
    static struct worker senders[4];
    aloop_channel *channel = new_channel(2);

    (void) state;
    spawn(senders, 4, send_one, channel);
    turns(3);
    assert_int_equal(senders[1].status, 0);
    assert_int_equal(senders[2].status, ALOOP_PENDING);
    assert_int_equal(try_send(channel, 9), ALOOP_EAGAIN);

    assert_int_equal(try_receive(channel), 1);
    turns(2);
    assert_int_equal(senders[2].status, 0);
    assert_int_equal(senders[3].status, ALOOP_PENDING);
    assert_int_equal(aloop_channel_count(channel), 2);
    for (int i = 2; i <= 4; i++)
        assert_int_equal(try_receive(channel), i);
    assert_int_equal(try_receive(channel), ALOOP_EAGAIN);
    drop_workers(senders, 4);
}

static void receivers_of_an_empty_channel_are_served_in_order(void **state)
{
    static struct worker receivers[3];
    aloop_channel *channel = new_channel(2);

    (void) state;
    spawn(receivers, 3, receive_one, channel);
    turns(2);

    for (int i = 1; i <= 3; i++)
        assert_int_equal(try_send(channel, i), 0);
    assert_int_equal(aloop_channel_count(channel), 0);
    turns(2);

    for (int i = 0; i < 3; i++)
        assert_int_equal(receivers[i].item, i + 1);
    assert_noted(1, 2, 3);
    drop_workers(receivers, 3);
}

static void an_item_that_was_given_to_a_receiver_cannot_be_overtaken(
    void **state)
{
    static struct worker receiver;
    aloop_channel *channel = new_channel(1);

    (void) state;
    spawn(&receiver, 1, receive_one, channel);
    turns(2);
    try_send(channel, 7);

    assert_int_equal(try_receive(channel), ALOOP_EAGAIN);
    turns(2);
    assert_int_equal(receiver.item, 7);
    drop_workers(&receiver, 1);
}

static void a_channel_without_capacity_passes_items_directly(void **state)
{
    static struct worker senders[2], receiver;
    aloop_channel *channel = new_channel(0);

    (void) state;
    assert_int_equal(try_send(channel, 1), ALOOP_EAGAIN);
    assert_int_equal(try_receive(channel), ALOOP_EAGAIN);
    spawn(senders, 2, send_one, channel);
    turns(2);
    assert_int_equal(senders[0].status, ALOOP_PENDING);

    assert_int_equal(try_receive(channel), 1);
    spawn(&receiver, 1, receive_one, channel);
    turns(3);
    assert_int_equal(senders[0].status, 0);
    assert_int_equal(senders[1].status, 0);
    assert_int_equal(receiver.item, 2);
    assert_int_equal(aloop_channel_count(channel), 0);
    drop_workers(senders, 2);
    drop_workers(&receiver, 1);

    spawn(&receiver, 1, receive_one, channel);
    turns(2);
    assert_int_equal(try_send(channel, 3), 0);
    assert_int_equal(aloop_await(receiver.task), 0);
    assert_int_equal(receiver.item, 3);
}

static void a_receiver_cancelled_before_an_item_receives_none(void **state)
{
    static struct worker receivers[2];
    aloop_channel *channel = new_channel(2);

    (void) state;
    spawn(receivers, 2, receive_one, channel);
    turns(2);

    aloop_cancel(receivers[0].task);
    try_send(channel, 5);
    turns(3);

    assert_int_equal(receivers[0].status, ALOOP_ECANCELED);
    assert_int_equal(receivers[0].item, -1);
    assert_int_equal(receivers[1].item, 5);
    drop_workers(receivers, 2);
}

static void a_receiver_cancelled_after_an_item_keeps_it(void **state)
{
    static struct worker receivers[2];
    aloop_channel *channel = new_channel(2);

    (void) state;
    spawn(receivers, 2, receive_one, channel);
    turns(2);

    try_send(channel, 5);
    aloop_cancel(receivers[0].task);
    turns(3);

    assert_int_equal(receivers[0].status, 0);
    assert_int_equal(receivers[0].item, 5);
    assert_int_equal(receivers[1].status, ALOOP_PENDING);
    drop_workers(receivers, 2);
}

static void a_sender_cancelled_while_it_waits_has_sent_nothing(void **state)
{
    static struct worker senders[3];
    aloop_channel *channel = new_channel(1);

    (void) state;
    spawn(senders, 3, send_one, channel);
    turns(2);

    aloop_cancel(senders[1].task);
    assert_int_equal(try_receive(channel), 1);
    assert_int_equal(try_receive(channel), 3);
    assert_int_equal(try_receive(channel), ALOOP_EAGAIN);
    turns(3);

    assert_int_equal(senders[1].status, ALOOP_ECANCELED);
    assert_int_equal(senders[2].status, 0);
    drop_workers(senders, 3);
}

static ssize_t receive_in_time(aloop *loop, void *arg)
{
    struct worker *worker = arg;

    (void) loop;
    worker->status = aloop_await(aloop_timeout(
        aloop_channel_receive(worker->channel, &worker->item), ALOOP_MS(5)));
    return 0;
}

static void a_timeout_on_a_receive_loses_no_item(void **state)
{
    static struct worker receivers[2];
    aloop_channel *channel = new_channel(1);

    (void) state;
    spawn(receivers, 2, receive_in_time, channel);
    turns(2);
    try_send(channel, 3);
    assert_int_equal(aloop_run(t.loop), 0);
    try_send(channel, 4);

    assert_int_equal(receivers[0].status, 0);
    assert_int_equal(receivers[0].item, 3);
    assert_int_equal(receivers[1].status, ALOOP_ETIMEDOUT);
    assert_int_equal(receivers[1].item, -1);
    assert_int_equal(try_receive(channel), 4);
    drop_workers(receivers, 2);
}

static void a_closed_channel_delivers_its_items_and_then_ends(void **state)
{
    static struct worker senders[3];
    aloop_channel *channel = new_channel(2);
    int item = 9;

    (void) state;
    spawn(senders, 3, send_one, channel);
    turns(2);
    assert_false(aloop_channel_is_closed(channel));

    assert_int_equal(aloop_channel_close(channel), 0);
    turns(2);

    assert_true(aloop_channel_is_closed(channel));
    assert_int_equal(senders[2].status, ALOOP_ECLOSED);
    assert_int_equal(try_send(channel, 9), ALOOP_ECLOSED);
    assert_int_equal(aloop_await(aloop_channel_send(channel, &item)),
                     ALOOP_ECLOSED);
    assert_int_equal(aloop_await(aloop_channel_receive(channel, &item)), 0);
    assert_int_equal(item, 1);
    assert_int_equal(try_receive(channel), 2);
    assert_int_equal(try_receive(channel), ALOOP_ECLOSED);
    assert_int_equal(aloop_await(aloop_channel_receive(channel, &item)),
                     ALOOP_ECLOSED);
    assert_int_equal(aloop_channel_close(channel), 0);
    for (int i = 0; i < 3; i++)
        aloop_await(senders[i].task);
}

static void closing_a_channel_ends_pending_receives(void **state)
{
    static struct worker receivers[2];
    aloop_channel *channel = new_channel(2);

    (void) state;
    spawn(receivers, 2, receive_one, channel);
    turns(2);

    aloop_channel_close(channel);

    assert_int_equal(aloop_await(receivers[0].task), ALOOP_ECLOSED);
    assert_int_equal(aloop_await(receivers[1].task), ALOOP_ECLOSED);
    assert_int_equal(receivers[0].item, -1);
}

static void freeing_a_channel_ends_pending_sends_and_receives(void **state)
{
    static struct worker receivers[2], senders[2];
    aloop_channel *empty = new_channel(2), *full = new_channel(0);

    (void) state;
    spawn(receivers, 2, receive_one, empty);
    spawn(senders, 2, send_one, full);
    turns(2);

    aloop_channel_free(empty);
    aloop_channel_free(full);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(aloop_await(receivers[i].task), ALOOP_ECLOSED);
        assert_int_equal(aloop_await(senders[i].task), ALOOP_ECLOSED);
    }
}

static void a_detached_send_that_fails_is_reported(void **state)
{
    aloop_channel *channel = new_channel(0);
    int item = 1;

    (void) state;
    aloop_detach(aloop_channel_send(channel, &item));
    assert_int_equal(t.unhandled, 0);
    aloop_channel_close(channel);
    aloop_run(t.loop);

    assert_int_equal(t.unhandled, 1);
    assert_int_equal(t.unhandled_error, ALOOP_ECLOSED);
    assert_string_equal(t.unhandled_what, "channel send");
}

static void a_channel_that_was_not_freed_ends_with_the_loop(void **state)
{
    static struct worker receiver; /* Used until the loop is freed. */

    (void) state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_send(new_channel(1000), i), 0);
    spawn(&receiver, 1, receive_one, new_channel(4));
    turns(2);
    aloop_detach(receiver.task);
}

static void on_item(aloop_future *future, ssize_t status, void *arg)
{
    (void) future;
    t.calls++;
    if (status == 0)
        note(*(int *) arg);
}

static void a_pending_receive_does_not_keep_the_loop_alive(void **state)
{
    aloop_channel *channel = new_channel(1);
    int item;

    (void) state;
    aloop_then(aloop_channel_receive(channel, &item), on_item, &item);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_int_equal(t.calls, 0);
    assert_int_equal(aloop_await(aloop_channel_receive(channel, &item)),
                     ALOOP_EDEADLK);

    try_send(channel, 8);
    assert_int_equal(aloop_run(t.loop), 0);
    assert_noted(8);
}

static void large_items_are_copied_completely(void **state)
{
    struct {
        char bytes[3000];
    } in, out;
    aloop_channel *channel = aloop_channel_new(t.loop, sizeof in, 2);

    (void) state;
    for (size_t i = 0; i < sizeof in.bytes; i++)
        in.bytes[i] = (char) (i * 7);
    for (int i = 0; i < 5; i++) {
        in.bytes[0] = (char) i;
        assert_int_equal(aloop_await(aloop_channel_send(channel, &in)), 0);
        assert_int_equal(aloop_await(aloop_channel_receive(channel, &out)), 0);
        assert_memory_equal(&in, &out, sizeof in);
    }
}

static void invalid_arguments_are_refused(void **state)
{
    aloop_channel *channel = new_channel(1);
    int item = 0;

    (void) state;
    assert_null(aloop_channel_new(NULL, 1, 1));
    assert_null(aloop_channel_new(t.loop, 0, 1));
    assert_null(aloop_channel_new(t.loop, 16, SIZE_MAX / 8));
    aloop_channel_free(NULL);
    assert_int_equal(aloop_await(aloop_channel_send(NULL, &item)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_channel_send(channel, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_channel_receive(NULL, &item)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_await(aloop_channel_receive(channel, NULL)),
                     ALOOP_EINVAL);
    assert_int_equal(aloop_channel_try_send(NULL, &item), ALOOP_EINVAL);
    assert_int_equal(aloop_channel_try_send(channel, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_channel_try_receive(NULL, &item), ALOOP_EINVAL);
    assert_int_equal(aloop_channel_try_receive(channel, NULL), ALOOP_EINVAL);
    assert_int_equal(aloop_channel_close(NULL), ALOOP_EINVAL);
    assert_true(aloop_channel_is_closed(NULL));
    assert_int_equal(aloop_channel_count(NULL), 0);
    assert_int_equal(aloop_channel_capacity(NULL), 0);
    assert_int_equal(aloop_channel_count(channel), 0);
}

struct pool {
    aloop_channel *jobs;
    int done;
};

static ssize_t work(aloop *loop, void *arg)
{
    struct pool *pool = arg;
    ssize_t status;
    int job;

    while ((status = aloop_await(aloop_channel_receive(pool->jobs, &job))) ==
           0) {
        aloop_await(aloop_sleep(loop, ALOOP_MS(job % 3)));
        pool->done++;
    }
    return status == ALOOP_ECLOSED ? 0 : status;
}

static void two_workers_finish_a_hundred_jobs(void **state)
{
    struct pool pool = {.jobs = new_channel(10)};
    aloop_group *group = aloop_group_new(t.loop);

    (void) state;
    aloop_group_spawn(group, work, &pool);
    aloop_group_spawn(group, work, &pool);
    for (int i = 0; i < 100; i++)
        assert_int_equal(aloop_await(aloop_channel_send(pool.jobs, &i)), 0);
    aloop_channel_close(pool.jobs);

    assert_int_equal(aloop_await(aloop_group_wait(group)), 0);
    assert_int_equal(pool.done, 100);
}

static void a_close_leaves_the_item_of_a_receive_untouched(void **state)
{
    aloop_channel *channel = aloop_channel_new(t.loop, sizeof(int), 1);
    int item = 99;
    aloop_future *receive = aloop_channel_receive(channel, &item);

    (void) state;
    aloop_channel_close(channel);
    assert_int_equal(aloop_await(receive), ALOOP_ECLOSED);
    assert_int_equal(item, 99);
    aloop_channel_free(channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(items_are_received_in_the_order_in_which_they_were_sent),
        TEST(a_full_channel_makes_senders_wait),
        TEST(receivers_of_an_empty_channel_are_served_in_order),
        TEST(an_item_that_was_given_to_a_receiver_cannot_be_overtaken),
        TEST(a_channel_without_capacity_passes_items_directly),
        TEST(a_receiver_cancelled_before_an_item_receives_none),
        TEST(a_receiver_cancelled_after_an_item_keeps_it),
        TEST(a_sender_cancelled_while_it_waits_has_sent_nothing),
        TEST(a_timeout_on_a_receive_loses_no_item),
        TEST(a_closed_channel_delivers_its_items_and_then_ends),
        TEST(closing_a_channel_ends_pending_receives),
        TEST(freeing_a_channel_ends_pending_sends_and_receives),
        TEST(a_detached_send_that_fails_is_reported),
        TEST(a_channel_that_was_not_freed_ends_with_the_loop),
        TEST(a_pending_receive_does_not_keep_the_loop_alive),
        TEST(large_items_are_copied_completely),
        TEST(invalid_arguments_are_refused),
        TEST(two_workers_finish_a_hundred_jobs),
        TEST(a_close_leaves_the_item_of_a_receive_untouched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
