/* Names of files and of hosts in the state machine; see machine_outside.h.
 *
 * "/l0" is a further name of "/f0", and "/l1" a symbolic link to it; "/e" is an
 * empty directory.  Each of them may exist or not.  The attributes that are
 * changed have no effect on other operations. */

#include "machine_outside.h"

#include <string.h>
#include <unistd.h>

#include "simulator/sim_file.h"

enum { BUFFER_SIZE = 128 };

_Static_assert(sizeof(aloop_statvfs) <= BUFFER_SIZE, "the result has room");

void names_begin(void)
{
    static const char *const here[] = {"10.0.0.9", NULL};

    sim_host("here", here);
}

unsigned names_left(void)
{
    static const char *const paths[] = {"/l0", "/l1", "/e"};
    unsigned count = 0;

    for (int i = 0; i < 3; i++)
        count += sim_file_get(paths[i], NULL, 0) != ALOOP_ENOENT;
    return count;
}

/* The operations.  Each has one error that it may have, or none. */

static aloop_future *start_unlink(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    return aloop_fs_unlink(w.loop, any_bit() ? "/l0" : "/l1");
}

static aloop_future *start_link(struct out *out)
{
    out->possible = ALOOP_EEXIST;
    return aloop_fs_link(w.loop, "/f0", "/l0");
}

static aloop_future *start_symlink(struct out *out)
{
    out->possible = ALOOP_EEXIST;
    return aloop_fs_symlink(w.loop, "f0", "/l1");
}

static aloop_future *start_readlink(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    out->text = "f0";
    return aloop_fs_readlink(w.loop, "/l1", out->buffer, out->size);
}

static aloop_future *start_realpath(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    out->text = "/f0";
    return aloop_fs_realpath(w.loop, "/l1", out->buffer, out->size);
}

static aloop_future *start_mkdir(struct out *out)
{
    out->possible = ALOOP_EEXIST;
    return aloop_fs_mkdir(w.loop, "/e", 0700);
}

static aloop_future *start_rmdir(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    return aloop_fs_rmdir(w.loop, "/e");
}

static aloop_future *start_access(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    return aloop_fs_access(w.loop, "/l0", R_OK);
}

static aloop_future *start_statvfs(struct out *out)
{
    return aloop_fs_statvfs(w.loop, "/",
                            (aloop_statvfs *) (void *) out->buffer);
}

static aloop_future *start_chmod(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    return aloop_fs_chmod(w.loop, "/l0", any_bit() ? 0600 : 0644);
}

static aloop_future *start_chown(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    return aloop_fs_chown(w.loop, "/l1", UINT32_MAX, any_below(3));
}

static aloop_future *start_utimens(struct out *out)
{
    out->possible = ALOOP_ENOENT;
    return aloop_fs_utimens(w.loop, "/l1", ALOOP_TIME_KEEP, any_below(100));
}

/* A text that was not read is not there. */
void end_name(struct out *out, ssize_t status)
{
    if (out->text == NULL)
        FUZZ_CHECK(status <= 0);
    else if (status < 0)
        FUZZ_CHECK(out->buffer[0] == '#');
    else
        FUZZ_CHECK((size_t) status == strlen(out->text) &&
                   strcmp(out->buffer, out->text) == 0);
}

static struct out *new_name(void)
{
    struct out *out = new_out(NAME);

    if (out == NULL)
        return NULL;
    out->size = BUFFER_SIZE;
    out->buffer = malloc(out->size);
    FUZZ_CHECK(out->buffer != NULL);
    memset(out->buffer, '#', out->size);
    return out;
}

void act_name(void)
{
    static aloop_future *(*const starts[])(struct out * out) = {
        start_unlink,   start_link,  start_symlink, start_readlink,
        start_realpath, start_mkdir, start_rmdir,   start_access,
        start_statvfs,  start_chmod, start_chown,   start_utimens,
    };
    size_t i = any_below(sizeof starts / sizeof starts[0]);
    struct out *out;

    if (!enter() || (out = new_name()) == NULL)
        return;
    say("operation %zu of names", i);
    follow_out(out, starts[i](out));
}

/* The name of an address, which may be unknown, and may have no room. */
void act_resolve_name(void)
{
    aloop_address address;
    bool is_known = any_bit(), has_room = any_bit();
    struct out *out;

    if (!enter() || (out = new_name()) == NULL)
        return;
    say("look up a name");
    FUZZ_CHECK(
        aloop_address_parse(is_known ? "10.0.0.9" : "10.0.0.8", &address) == 0);
    out->possible = is_known ? ALOOP_ENOSPC : ALOOP_EHOSTNOTFOUND;
    out->text = "here";
    follow_out(out, aloop_resolve_name(w.loop, &address, out->buffer,
                                       has_room ? out->size : 4));
}
