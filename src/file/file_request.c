/* The public functions of aloop/file_data.h, without those that read into one
 * buffer, which try the page cache first (file_cached.c).  Each one describes
 * what it was called with, and aloop__file_start() does the rest. */

#include "aloop/file_data.h"

#include "file/file_data.h"

/* A negative offset of the caller is not FILE_AT_POSITION, which is negative,
 * too.  INT64_MIN is refused later, as every other negative offset. */
static int64_t offset_of(int64_t offset)
{
    return offset < 0 ? INT64_MIN : offset;
}

/* The array of one buffer is on the stack; aloop__file_start() copies it.  The
 * cast removes a const that struct iovec cannot have; a write does not change
 * the bytes. */
static aloop_future *write_single(aloop_file *file, const char *function,
                                  const void *data, size_t size, int64_t offset)
{
    struct iovec buffer = {(void *) (uintptr_t) data, size};

    return aloop__file_start(file,
                             &(struct aloop__file_request){.function = function,
                                                           .buffers = &buffer,
                                                           .count = 1,
                                                           .offset = offset,
                                                           .is_write = true});
}

aloop_future *aloop_file_write(aloop_file *file, const void *data, size_t size)
{
    return write_single(file, __func__, data, size, FILE_AT_POSITION);
}

aloop_future *aloop_file_write_at(aloop_file *file, const void *data,
                                  size_t size, int64_t offset)
{
    return write_single(file, __func__, data, size, offset_of(offset));
}

aloop_future *aloop_file_readv(aloop_file *file, const struct iovec *buffers,
                               int count)
{
    return aloop__file_start(
        file, &(struct aloop__file_request){.function = __func__,
                                            .buffers = buffers,
                                            .count = count,
                                            .offset = FILE_AT_POSITION});
}

aloop_future *aloop_file_writev(aloop_file *file, const struct iovec *buffers,
                                int count)
{
    return aloop__file_start(
        file, &(struct aloop__file_request){.function = __func__,
                                            .buffers = buffers,
                                            .count = count,
                                            .offset = FILE_AT_POSITION,
                                            .is_write = true});
}

aloop_future *aloop_file_readv_at(aloop_file *file, const struct iovec *buffers,
                                  int count, int64_t offset)
{
    return aloop__file_start(
        file, &(struct aloop__file_request){.function = __func__,
                                            .buffers = buffers,
                                            .count = count,
                                            .offset = offset_of(offset)});
}

aloop_future *aloop_file_writev_at(aloop_file *file,
                                   const struct iovec *buffers, int count,
                                   int64_t offset)
{
    return aloop__file_start(
        file, &(struct aloop__file_request){.function = __func__,
                                            .buffers = buffers,
                                            .count = count,
                                            .offset = offset_of(offset),
                                            .is_write = true});
}
