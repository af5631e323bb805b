/* The WebSocket server of the examples: clients that are silent, slow, or gone,
 * and the end of a server with connections. */

#include "support/websocket_fixture.h"

static void a_half_closed_connection_receives_what_is_left(void **state)
{
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    add_text(TEXT, "last");
    send_frames(peer);
    sim_peer_shutdown(peer);
    client_receives(peer, MS);
    assert_string_equal(words_of(peer), "text(last) end");
    assert_int_equal(socket_status, ALOOP_EOF);
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void an_end_or_a_reset_inside_of_a_frame_leaves_nothing(void **state)
{
    (void) state;
    start_echo();
    for (size_t size = 1; size < 11; size++)
        for (int is_reset = 0; is_reset < 2; is_reset++) {
            int peer = open_socket();

            add_text(TEXT, "hello");
            client_sends(peer, out.bytes, size);
            run_for(MS);
            socket_status = 1;
            if (is_reset)
                sim_peer_reset(peer);
            else
                sim_peer_close(peer);
            run_for(MS);
            /* A close with unread data is a reset, too. */
            assert_true(socket_status == ALOOP_ECONNRESET ||
                        (socket_status == ALOOP_EOF && !is_reset));
        }
    stop_httpd();
}

static void a_silent_client_is_pinged_and_then_reset(void **state)
{
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    client_receives(peer, ALOOP_SEC(19));
    assert_string_equal(words_of(peer), "");
    client_receives(peer, ALOOP_SEC(2));
    assert_string_equal(words_of(peer), "ping()");
    client_receives(peer, ALOOP_SEC(18));
    assert_string_equal(words_of(peer), "ping()");
    client_receives(peer, ALOOP_SEC(2));
    assert_string_equal(words_of(peer), "ping() reset");
    assert_int_equal(socket_status, ALOOP_ETIMEDOUT);
    sim_peer_close(peer);
    stop_httpd();
}

static void a_client_that_sends_something_stays(void **state)
{
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    for (int i = 0; i < 20; i++) {
        got.size = 0;
        for (int seconds = 0; seconds < 42 && got.size == 0; seconds++)
            client_receives(peer, ALOOP_SEC(1));
        assert_string_equal(words_of(peer), "ping()");
        run_for(ALOOP_SEC(18));
        add_text(PONG, "");
        send_frames(peer);
    }
    add_text(TEXT, "a"); /* Bytes of a frame are signs of life. */
    for (size_t i = 0; i < out.size; i++) {
        client_sends(peer, out.bytes + i, 1);
        got.size = 0;
        client_receives(peer, ALOOP_SEC(15));
        assert_string_equal(words_of(peer), i + 1 < out.size ? "" : "text(a)");
    }
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void without_an_interval_no_client_is_pinged(void **state)
{
    int peer;

    (void) state;
    start_echo();
    socket_options.ping_ns = -1;
    peer = open_socket();
    client_receives(peer, ALOOP_SEC(100000));
    assert_string_equal(words_of(peer), "");
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

/* Sends a message and closes first. */
static ssize_t say_good_bye(struct httpd_request *request, void *arg)
{
    struct websocket_stream socket;
    ssize_t status =
        websocket_upgrade(request, &socket_options, &socket_origins, &socket);

    (void) arg;
    if (status <= 0)
        return status;
    assert_int_equal(websocket_send(&socket, true, "bye", 3, true), 0);
    socket_status = websocket_end(&socket, 1, 4000, "why");
    return socket_status;
}

/* What a client does when it has received the close of the server. */
static int receive_good_bye(void)
{
    int peer = connect_client();
    char *end;

    got.size = out.size = 0;
    client_sends(peer, HANDSHAKE, sizeof HANDSHAKE - 1);
    client_receives(peer, MS);
    end = strstr(got.text, "\r\n\r\n");
    assert_non_null(end);
    got.size -= (size_t) (end + 4 - got.text);
    memmove(got.text, end + 4, got.size);
    assert_string_equal(words_of(peer), "text(bye) close(4000 why)");
    return peer;
}

static void a_server_that_closes_first_waits_for_the_close(void **state)
{
    int peer;

    (void) state;
    start_sockets(say_good_bye);
    peer = receive_good_bye();
    add_text(TEXT, "dropped");
    add_text(PING, "not answered");
    send_frames(peer);
    client_receives(peer, ALOOP_SEC(10));
    assert_string_equal(words_of(peer), "text(bye) close(4000 why)");
    add_frame(CLOSE, "\x0f\xa0", 2);
    send_frames(peer);
    client_receives(peer, MS);
    assert_string_equal(words_of(peer), "text(bye) close(4000 why) end");
    assert_int_equal(socket_status, 0);
    sim_peer_close(peer);
    run_for(MS);
    peer = receive_good_bye();
    sim_peer_shutdown(peer);
    client_receives(peer, MS);
    assert_true(got.has_ended);
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void a_client_that_never_answers_a_close_is_reset(void **state)
{
    int peer;

    (void) state;
    start_sockets(say_good_bye);
    peer = receive_good_bye();
    for (int i = 0; i < 19; i++) { /* What it sends gives it no more time. */
        add_text(TEXT, "dropped");
        send_frames(peer);
        client_receives(peer, ALOOP_SEC(1));
    }
    assert_string_equal(words_of(peer), "text(bye) close(4000 why)");
    client_receives(peer, ALOOP_SEC(2));
    assert_string_equal(words_of(peer), "text(bye) close(4000 why) reset");
    assert_int_equal(socket_status, ALOOP_ETIMEDOUT);
    sim_peer_close(peer);
    stop_httpd();
}

/* Closes, and receives only after the time for the answer. */
static ssize_t close_and_sleep(struct httpd_request *request, void *arg)
{
    struct websocket_stream socket;
    struct websocket_event part;
    ssize_t status =
        websocket_upgrade(request, &socket_options, &socket_origins, &socket);

    (void) arg;
    if (status <= 0)
        return status;
    assert_int_equal(websocket_close(&socket, 1000, ""), 0);
    assert_int_equal(aloop_await(aloop_sleep(t.loop, ALOOP_SEC(25))), 0);
    socket_status = websocket_receive(&socket, &part);
    return websocket_end(&socket, socket_status, 0, "");
}

static void the_time_for_a_close_may_pass_between_receives(void **state)
{
    int peer;

    (void) state;
    start_sockets(close_and_sleep);
    peer = connect_client();
    client_sends(peer, HANDSHAKE, sizeof HANDSHAKE - 1);
    run_for(ALOOP_SEC(26));
    assert_int_equal(socket_status, ALOOP_ETIMEDOUT);
    sim_peer_close(peer);
    stop_httpd();
}

/* The timer of each connection, too, is gone when that has ended. */
static void connections_leave_no_memory(void **state)
{
    size_t bytes = 0;

    (void) state;
    start_echo();
    for (int i = 0; i < 300; i++) {
        int peer = open_socket();

        add_text(TEXT, "a");
        add_frame(CLOSE, "\x03\xe8", 2);
        send_frames(peer);
        client_receives(peer, MS);
        sim_peer_close(peer);
        run_for(ALOOP_SEC(40));
        if (i == 100)
            bytes = memory.bytes;
    }
    assert_int_equal(memory.bytes, bytes);
    stop_httpd();
}

static void answer_close(void *arg)
{
    int peer = (int) (intptr_t) arg;

    out.size = 0;
    add_frame(CLOSE, "\x03\xe9", 2);
    send_frames(peer);
}

static void close_peer(void *arg)
{
    sim_peer_close((int) (intptr_t) arg);
}

static void a_stop_closes_connections_with_1001(void **state)
{
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    sim_at(ALOOP_SEC(1), answer_close, as_arg(peer));
    sim_at(ALOOP_SEC(2), close_peer, as_arg(peer));
    assert_int_equal(httpd_stop(httpd, ALOOP_SEC(60)), 0);
    assert_int_equal(socket_status, ALOOP_EABORTED);
}

static void a_stop_waits_no_longer_than_for_a_close(void **state)
{
    int64_t start_ns;
    int peer;

    (void) state;
    start_echo();
    peer = open_socket();
    start_ns = aloop_now(t.loop);
    assert_int_equal(httpd_stop(httpd, ALOOP_SEC(60)), 0);
    assert_in_range(aloop_now(t.loop) - start_ns, ALOOP_SEC(20), ALOOP_SEC(21));
    client_receives(peer, MS);
    assert_string_equal(words_of(peer), "close(1001) reset");
    sim_peer_close(peer);
}

/* Sends as much as the server takes of a message that is repeated.  Returns the
 * number of bytes; the client receives nothing meanwhile. */
static size_t flood(int peer, size_t max)
{
    size_t sum = 0, at = 0;

    for (int idle = 0; idle < 3 && sum < max;) {
        ssize_t n = sim_peer_send(peer, out.bytes + at, out.size - at);

        idle = n > 0 ? 0 : idle + 1;
        sum += n > 0 ? (size_t) n : 0;
        at = n > 0 ? (at + (size_t) n) % out.size : at;
        run_for(MS);
    }
    return sum;
}

/* Receives all that is left, and returns how many bytes it is. */
static size_t receive_rest(int peer)
{
    size_t sum = 0;
    int idle = 0;

    while (idle < 3) {
        ssize_t n = sim_peer_receive(peer, got.text, sizeof got.text);

        idle = n > 0 ? 0 : idle + 1;
        sum += n > 0 ? (size_t) n : 0;
        run_for(MS);
    }
    return sum;
}

/* The server stops reading, and its memory does not grow.  The client loses
 * nothing when it receives again. */
static void check_flood(unsigned first, size_t payload)
{
    enum { SENT_MAX = 4 * 1000 * 1000 };
    size_t sent, frame, before;
    int peer;

    start_echo();
    sim_buffer_size(BUFFER);
    peer = open_socket();
    add_letters(first, payload);
    frame = out.size;
    before = memory.bytes;
    memory.peak = before;
    sent = flood(peer, SENT_MAX);
    assert_in_range(sent, 2 * BUFFER, 8 * BUFFER);
    assert_in_range(memory.peak - before, 1, 256 * 1024);
    /* What arrived as a whole comes back, without the mask. */
    assert_in_range(receive_rest(peer), sent / frame * (frame - 4) - 8,
                    sent + 1000);
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void a_client_that_does_not_receive_is_paused(void **state)
{
    (void) state;
    check_flood(BINARY, 60000);
}

static void small_messages_are_paused_too(void **state)
{
    (void) state;
    check_flood(TEXT, 100);
}

static void a_flood_of_pings_is_paused(void **state)
{
    (void) state;
    check_flood(PING, 125);
}

static void a_client_that_never_receives_is_reset(void **state)
{
    int peer, seconds = 0;

    (void) state;
    start_echo();
    sim_buffer_size(BUFFER);
    peer = open_socket();
    add_letters(BINARY, 60000);
    flood(peer, SIZE_MAX);
    for (; seconds < 100 && sim_peer_connected(peer); seconds++)
        run_for(ALOOP_SEC(1));
    assert_in_range(seconds, 28, 32);
    assert_int_equal(socket_status, ALOOP_ETIMEDOUT);
    sim_peer_close(peer);
    stop_httpd();
}

/* 64 KiB in 30 s are enough. */
static void a_client_that_receives_slowly_stays(void **state)
{
    size_t sum = 0, sent;
    int peer;

    (void) state;
    start_echo();
    sim_buffer_size(BUFFER);
    peer = open_socket();
    add_letters(BINARY, 60000);
    add_letters(BINARY, 60000);
    add_letters(BINARY, 60000);
    add_letters(BINARY, 60000);
    add_letters(BINARY, 60000);
    sent = flood(peer, out.size);
    for (int i = 0; i < 200 && sum < 5 * 60000; i++) {
        ssize_t n = sim_peer_receive(peer, got.text, 3000);

        sum += n > 0 ? (size_t) n : 0;
        n = sim_peer_send(peer, out.bytes + sent, out.size - sent);
        sent += n > 0 ? (size_t) n : 0;
        run_for(ALOOP_SEC(1));
    }
    assert_in_range(sum, 5 * 60000, 5 * 60000 + 3000);
    assert_true(sim_peer_connected(peer));
    sim_peer_close(peer);
    run_for(MS);
    stop_httpd();
}

static void a_stop_cancels_a_send_after_its_time(void **state)
{
    int peer;

    (void) state;
    start_echo();
    sim_buffer_size(BUFFER);
    peer = open_socket();
    add_letters(BINARY, 60000);
    flood(peer, SIZE_MAX);
    assert_int_equal(httpd_stop(httpd, ALOOP_SEC(1)), 1);
    assert_int_equal(socket_status, ALOOP_ECANCELED);
    sim_peer_close(peer);
}

/* A conversation that the server may end at any time. */
static void talk(void)
{
    int peer = sim_connect((uint16_t) httpd_port(httpd));
    size_t i;

    if (peer < 0)
        return;
    out.size = got.size = 0;
    add_bytes(HANDSHAKE, sizeof HANDSHAKE - 1);
    add_letters(TEXT_PART, 3000);
    add_text(PING, "p");
    add_letters(LAST_PART, 70000);
    add_frame(CLOSE, "\x03\xe8", 2);
    for (i = 0; i < out.size && sim_peer_connected(peer); i += 9000) {
        size_t size = out.size - i < 9000 ? out.size - i : 9000;

        sim_peer_send(peer, out.bytes + i, size);
        for (int steps = 0; steps < 5; steps++)
            aloop_step(t.loop, MS);
    }
    sim_peer_close(peer);
    for (int steps = 0; steps < 5; steps++)
        aloop_step(t.loop, MS);
}

static void each_allocation_may_fail(void **state)
{
    unsigned used = 1;

    (void) state;
    for (unsigned n = 0; n < used; n++) {
        unsigned before;

        aloop_free(t.loop);
        t.loop = memory_loop(0);
        assert_non_null(t.loop);
        start_echo();
        before = memory.calls;
        memory.fails_at = n > 0 ? before + n : 0;
        talk();
        memory.fails_at = 0;
        if (n == 0) {
            used = memory.calls - before;
            assert_int_equal(socket_status, 0);
        }
        assert_true(httpd_stop(httpd, 0) >= 0);
    }
    assert_true(used > 5);
}

static void a_stop_at_each_byte_leaves_nothing(void **state)
{
    size_t size;

    (void) state;
    out.size = 0;
    add_bytes(HANDSHAKE, sizeof HANDSHAKE - 1);
    add_text(TEXT_PART, "hello");
    add_text(PING, "p");
    add_text(LAST_PART, "you");
    add_frame(CLOSE, "\x03\xe8", 2);
    size = out.size;
    for (size_t i = 1; i <= size; i++) {
        int peer;

        start_echo();
        peer = connect_client();
        client_sends(peer, out.bytes, i);
        run_for(MS);
        assert_in_range(httpd_stop(httpd, 0), 0, 1);
        sim_peer_close(peer);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        MEMORY_TEST(a_half_closed_connection_receives_what_is_left),
        MEMORY_TEST(an_end_or_a_reset_inside_of_a_frame_leaves_nothing),
        MEMORY_TEST(a_silent_client_is_pinged_and_then_reset),
        MEMORY_TEST(a_client_that_sends_something_stays),
        MEMORY_TEST(without_an_interval_no_client_is_pinged),
        MEMORY_TEST(a_server_that_closes_first_waits_for_the_close),
        MEMORY_TEST(a_client_that_never_answers_a_close_is_reset),
        MEMORY_TEST(the_time_for_a_close_may_pass_between_receives),
        MEMORY_TEST(connections_leave_no_memory),
        MEMORY_TEST(a_stop_closes_connections_with_1001),
        MEMORY_TEST(a_stop_waits_no_longer_than_for_a_close),
        MEMORY_TEST(a_client_that_does_not_receive_is_paused),
        MEMORY_TEST(small_messages_are_paused_too),
        MEMORY_TEST(a_flood_of_pings_is_paused),
        MEMORY_TEST(a_client_that_never_receives_is_reset),
        MEMORY_TEST(a_client_that_receives_slowly_stays),
        MEMORY_TEST(a_stop_cancels_a_send_after_its_time),
        MEMORY_TEST(each_allocation_may_fail),
        MEMORY_TEST(a_stop_at_each_byte_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
