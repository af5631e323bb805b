/* Requests of nginx that wait for operations of a loop. */

#ifndef BRIDGES_NGINX_ALOOP_JOBS_H
#define BRIDGES_NGINX_ALOOP_JOBS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <aloop.h>

/* What a location does. */
struct aloop_location {
    ngx_str_t url; /* Empty: a sleep. */
    ngx_msec_t sleep_ms, limit_ms;
};

/* Prepares a worker process for requests.  Returns whether that was possible.
 * Both functions are called once in a process. */
bool aloop_jobs_begin(aloop *with_loop, ngx_log_t *log);

/* Ends the operations of all requests, which are not answered. */
void aloop_jobs_end(void);

/* Begins the operation of a location, and answers the request when it has
 * ended.  Returns NGX_DONE, or the status of a request that has failed. */
ngx_int_t aloop_job_start(ngx_http_request_t *client,
                          const struct aloop_location *location);

#endif
