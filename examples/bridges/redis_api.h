/* What redis_module.c uses of the interface of Redis for modules, whose header
 * systems do not install.  The server gives the addresses of the functions; its
 * documentation has each one under the name that redis_api.c gives for it. */

#ifndef BRIDGES_REDIS_API_H
#define BRIDGES_REDIS_API_H

#include <aloop.h>

typedef struct RedisModuleCtx redis_context;
typedef struct RedisModuleString redis_string;
typedef struct RedisModuleBlockedClient redis_blocked;
typedef int (*redis_command_cb)(redis_context *, redis_string **, int argc);

enum { REDIS_OK = 0, REDIS_ERR = 1, REDIS_READABLE = 1 };

struct redis_api {
    void (*set_attributes)(redis_context *, const char *name, int version,
                           int api_version);
    int (*has_module)(const char *name);
    int (*create_command)(redis_context *, const char *name, redis_command_cb,
                          const char *flags, int first_key, int last_key,
                          int key_step);
    int (*add_event)(int fd, int mask, void (*)(int fd, void *arg, int mask),
                     void *arg);
    int (*delete_event)(int fd, int mask);
    int (*flags)(redis_context *);
    const char *(*text)(const redis_string *, size_t *ret_size);
    int (*integer)(const redis_string *, long long *ret);
    redis_blocked *(*block)(redis_context *, redis_command_cb reply,
                            redis_command_cb timed_out,
                            void (*release)(redis_context *, void *data),
                            long long limit_ms);
    int (*unblock)(redis_blocked *, void *data);
    void (*on_disconnect)(redis_blocked *,
                          void (*)(redis_context *, redis_blocked *));
    void *(*data)(redis_context *);
    int (*reply_arity)(redis_context *);
    int (*reply_array)(redis_context *, long count);
    int (*reply_integer)(redis_context *, long long);
    int (*reply_bytes)(redis_context *, const char *, size_t);
    int (*reply_simple)(redis_context *, const char *);
    int (*reply_error)(redis_context *, const char *);
};

extern struct redis_api redis;

/* Gets the functions and names the module, as the first call of its
 * RedisModule_OnLoad().  Returns REDIS_OK, or REDIS_ERR if the server is older
 * than Redis 7.0 or has a module of that name. */
int redis_api_load(redis_context *context, const char *name);

/* Adds a command without keys.  Returns whether that was possible. */
bool redis_command_add(redis_context *context, const char *name,
                       redis_command_cb run);

/* Returns whether the client of a command can be made to wait: not in a
 * transaction or a script. */
bool redis_can_block(redis_context *context);

/* The module defines these functions, which the server calls. */
ALOOP_API int RedisModule_OnLoad(redis_context *context, redis_string **argv,
                                 int argc);
ALOOP_API int RedisModule_OnUnload(redis_context *context);

#endif
