/* The interface of Redis for modules; see redis_api.h. */

#include "bridges/redis_api.h"

struct redis_api redis;

static const struct {
    const char *name;
    void *function;
} functions[] = {
    {"RedisModule_SetModuleAttribs", &redis.set_attributes},
    {"RedisModule_IsModuleNameBusy", &redis.has_module},
    {"RedisModule_CreateCommand", &redis.create_command},
    {"RedisModule_EventLoopAdd", &redis.add_event},
    {"RedisModule_EventLoopDel", &redis.delete_event},
    {"RedisModule_GetContextFlags", &redis.flags},
    {"RedisModule_StringPtrLen", &redis.text},
    {"RedisModule_StringToLongLong", &redis.integer},
    {"RedisModule_BlockClient", &redis.block},
    {"RedisModule_UnblockClient", &redis.unblock},
    {"RedisModule_SetDisconnectCallback", &redis.on_disconnect},
    {"RedisModule_GetBlockedClientPrivateData", &redis.data},
    {"RedisModule_WrongArity", &redis.reply_arity},
    {"RedisModule_ReplyWithArray", &redis.reply_array},
    {"RedisModule_ReplyWithLongLong", &redis.reply_integer},
    {"RedisModule_ReplyWithStringBuffer", &redis.reply_bytes},
    {"RedisModule_ReplyWithSimpleString", &redis.reply_simple},
    {"RedisModule_ReplyWithError", &redis.reply_error},
};

int redis_api_load(redis_context *context, const char *name)
{
    /* A context begins with the function that gives the others. */
    struct context {
        int (*get)(const char *name, void *ret_function);
    };
    const struct context *first = (const void *) context;

    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (first->get(functions[i].name, functions[i].function) != REDIS_OK)
            return REDIS_ERR;
    if (redis.has_module(name))
        return REDIS_ERR;
    redis.set_attributes(context, name, 1, 1);
    return REDIS_OK;
}

bool redis_command_add(redis_context *context, const char *name,
                       redis_command_cb run)
{
    return redis.create_command(context, name, run, "", 0, 0, 0) == REDIS_OK;
}

bool redis_can_block(redis_context *context)
{
    enum {
        IN_SCRIPT = 1 << 0,
        IN_TRANSACTION = 1 << 1,
        DENIES_BLOCKING = 1 << 21
    };

    return (redis.flags(context) &
            (IN_SCRIPT | IN_TRANSACTION | DENIES_BLOCKING)) == 0;
}
