/* Functions shared by the scenarios. */

#include "torture.h"

#include <string.h>

void torture_keep(ssize_t *error, ssize_t status)
{
    if (*error >= 0 && status < 0)
        *error = status;
}

ssize_t torture_await(aloop_future *future, int64_t seconds)
{
    return aloop_await(aloop_timeout(future, ALOOP_SEC(seconds)));
}

ssize_t torture_pass(aloop *loop, int64_t delay_ns)
{
    return aloop_await(aloop_sleep(loop, delay_ns));
}

aloop_stream *torture_stream(aloop *loop, int *ret_peer)
{
    static aloop_stream *streams[8];
    static unsigned count;
    aloop_stream **stream = &streams[count++];
    uint16_t number = (uint16_t) (8000 + count);
    char port[] = {'8', '0', '0', (char) ('0' + count), '\0'};
    int listener = sim_listen("127.0.0.1", number, 4);
    ssize_t status =
        torture_await(aloop_tcp_connect(loop, "127.0.0.1", port, stream), 10);

    *ret_peer = sim_accept(listener);
    sim_peer_close(listener);
    if (status == 0 && *ret_peer >= 0)
        return *stream;
    if (status >= 0)
        *ret_peer = ALOOP_ECONNRESET;
    else
        *ret_peer = (int) status;
    aloop_stream_close(*stream);
    return NULL;
}

/* After so many bytes, torture_byte() begins again. */
enum { PERIOD = 251 * 53 };

unsigned char torture_byte(size_t i)
{
    return (unsigned char) ('A' + (i * 7 + i / 251) % 53);
}

void torture_fill(void *bytes, size_t first, size_t size)
{
    unsigned char *at = bytes;
    size_t done = 0;

    for (; done < size && done < PERIOD; done++)
        at[done] = torture_byte(first + done);
    for (size_t part; done < size; done += part) {
        part = size - done < PERIOD ? size - done : PERIOD;
        memcpy(at + done, at + done - PERIOD, part);
    }
}

bool torture_matches(const void *bytes, size_t first, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size && i < PERIOD; i++)
        if (at[i] != torture_byte(first + i))
            return false;
    return size <= PERIOD || memcmp(at + PERIOD, at, size - PERIOD) == 0;
}
