/* A module of nginx that runs a loop inside each worker process.
 *
 *     load_module /path/to/ngx_http_aloop_module.so;
 *     ...
 *         location = /page { aloop_fetch http://127.0.0.1:8080/; }
 *         location = /pause { aloop_sleep 20ms; }
 *
 *     aloop_fetch URL;    answers with a page that is fetched over HTTP; 502 if
 *                         that fails, and 504 at the time limit
 *     aloop_limit TIME;   the time limit of fetches (default: 10s)
 *     aloop_sleep TIME;   answers after so long
 *
 * Neither blocks the worker.  A client that disconnects cancels its fetch or
 * sleep.
 *
 * nginx watches one descriptor, aloop_fd(), and calls aloop_step() when it is
 * readable.  For that it has a connection, which is one of worker_connections.
 *
 * - The master forks the workers, so that each of them makes its loop after the
 *   fork.  The master has none, whatever it reloads.
 * - A worker that is to end gracefully ends when no timer of nginx is left.
 *   Timers of the loop do not count, so that `held` is set while jobs exist.
 * - A worker that ends must have freed the loop's connection, or nginx reports
 *   an open socket.
 *
 * See build.sh for how it is built. */

#include "aloop_jobs.h"

extern ngx_module_t ngx_http_aloop_module;

enum { LIMIT_MS = 10000 };

static aloop *loop;
static ngx_connection_t *watch; /* nginx's for aloop_fd(). */

static ngx_int_t location_handler(ngx_http_request_t *client)
{
    return aloop_job_start(
        client, ngx_http_get_module_loc_conf(client, ngx_http_aloop_module));
}

/* After an error the descriptor may stay readable. */
static void loop_ready(ngx_event_t *event)
{
    if (aloop_step(loop, 0) < 0)
        ngx_del_event(event, NGX_READ_EVENT, 0);
}

/* Runs in each process that the master forks, and without a master. */
static ngx_int_t worker_begin(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
        return NGX_OK;
    loop = aloop_new(NULL);
    if (loop == NULL || !aloop_jobs_begin(loop, cycle->log) ||
        aloop_fd(loop) < 0)
        return NGX_ERROR;
    watch = ngx_get_connection(aloop_fd(loop), cycle->log);
    if (watch == NULL)
        return NGX_ERROR;
    watch->read->handler = loop_ready;
    watch->read->log = cycle->log;
    return ngx_add_event(watch->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
}

static void worker_end(ngx_cycle_t *cycle)
{
    (void) cycle;
    if (watch != NULL) {
        if (watch->read->active)
            ngx_del_event(watch->read, NGX_READ_EVENT, 0);
        ngx_free_connection(watch);
        watch->fd = (ngx_socket_t) -1;
    }
    aloop_jobs_end();
    aloop_free(loop);
}

static void *make_location(ngx_conf_t *conf)
{
    struct aloop_location *location = ngx_pcalloc(conf->pool, sizeof *location);

    if (location != NULL) {
        location->sleep_ms = NGX_CONF_UNSET_MSEC;
        location->limit_ms = NGX_CONF_UNSET_MSEC;
    }
    return location;
}

static char *merge_location(ngx_conf_t *conf, void *parent, void *child)
{
    struct aloop_location *outer = parent, *inner = child;

    (void) conf;
    ngx_conf_merge_msec_value(inner->limit_ms, outer->limit_ms, LIMIT_MS);
    return NGX_CONF_OK;
}

static char *set_handler(ngx_conf_t *conf)
{
    ngx_http_core_loc_conf_t *core =
        ngx_http_conf_get_module_loc_conf(conf, ngx_http_core_module);

    if (core->handler != NULL)
        return "follows another handler of the location";
    core->handler = location_handler;
    return NGX_CONF_OK;
}

static char *set_fetch(ngx_conf_t *conf, ngx_command_t *command, void *data)
{
    char *error = set_handler(conf);

    return error != NGX_CONF_OK ? error
                                : ngx_conf_set_str_slot(conf, command, data);
}

static char *set_sleep(ngx_conf_t *conf, ngx_command_t *command, void *data)
{
    char *error = set_handler(conf);

    return error != NGX_CONF_OK ? error
                                : ngx_conf_set_msec_slot(conf, command, data);
}

static ngx_command_t commands[] = {
    {ngx_string("aloop_fetch"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_fetch,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(struct aloop_location, url), NULL},
    {ngx_string("aloop_sleep"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_sleep,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(struct aloop_location, sleep_ms), NULL},
    {ngx_string("aloop_limit"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_conf_set_msec_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(struct aloop_location, limit_ms), NULL},
    ngx_null_command};

static ngx_http_module_t context = {.create_loc_conf = make_location,
                                    .merge_loc_conf = merge_location};

ngx_module_t ngx_http_aloop_module = {NGX_MODULE_V1,
                                      .ctx = &context,
                                      .commands = commands,
                                      .type = NGX_HTTP_MODULE,
                                      .init_process = worker_begin,
                                      .exit_process = worker_end};
