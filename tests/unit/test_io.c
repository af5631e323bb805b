/* Descriptors that the loop watches: closed, renewed, reused. */

#include "loop/io.h"
#include "support/stream_fixture.h"

/* Somebody closed it behind the stream's back. */
static void a_renewal_finds_out_what_was_closed(void **state)
{
    aloop_stream *lost = connected(), *kept;
    aloop_future *read, *other;
    char bytes[4];

    (void) state;
    kept = connected();
    read = aloop_stream_read(lost, bytes, sizeof bytes);
    other = aloop_stream_read(kept, bytes, sizeof bytes);
    sys_close(aloop_stream_fd(lost));

    assert_int_equal(aloop__io_renew(t.loop), 0);

    assert_int_equal(aloop_await(read), ALOOP_EBADF);
    assert_int_equal(aloop_stream_fd(lost), ALOOP_EBADF);
    assert_int_equal(sim_peer_send(c.peer, "here", 4), 4);
    assert_int_equal(aloop_await(other), 4);
    aloop_stream_close(lost);
    aloop_stream_close(kept);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_renewal_finds_out_what_was_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
