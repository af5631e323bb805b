/* Requests of nginx that wait; see aloop_jobs.h. */

#include "aloop_jobs.h"

#include <stdlib.h>

#include "support/http_session.h"

enum { CONNECTIONS_MAX = 100, HELD_MS = 86400000 };

/* A request that waits, or that sends what it waited for. */
struct job {
    struct job *next, **link;   /* In `jobs`, until the operation has ended. */
    ngx_http_request_t *client; /* NULL if its request has ended. */
    aloop_future *operation;    /* NULL if it has ended. */
    struct http_request request;
    struct http_page page;
};

static aloop *loop;
static http_session *session;
static struct job *jobs;

/* A timer that is set while there are jobs.  A worker that is to end gracefully
 * ends when no timer of nginx is set; it does not know those of the loop. */
static ngx_event_t held;

static void job_free(struct job *job)
{
    http_page_free(&job->page);
    free(job);
}

/* Answers the request of a job, and ends it. */
static ngx_int_t job_answer(struct job *job, ssize_t status)
{
    static ngx_str_t type = ngx_string("application/octet-stream");
    ngx_http_complex_value_t body = {.value = ngx_string("slept\n")};
    ngx_uint_t code = NGX_HTTP_OK;

    if (status < 0) {
        ngx_log_error(NGX_LOG_ERR, job->client->connection->log, 0, "%s: %s",
                      http_step_name(job->page.reply.step),
                      http_error(&job->page.reply, status));
        return status == ALOOP_ETIMEDOUT ? NGX_HTTP_GATEWAY_TIME_OUT
                                         : NGX_HTTP_BAD_GATEWAY;
    }
    if (job->request.url != NULL) {
        code = (ngx_uint_t) job->page.reply.status;
        body.value.data = (u_char *) job->page.data;
        body.value.len = job->page.size;
    }
    return ngx_http_send_response(job->client, code, &type, &body);
}

/* The continuation of a job's operation. */
static void job_ended(aloop_future *operation, ssize_t status, void *arg)
{
    struct job *job = arg;
    ngx_connection_t *connection;

    *job->link = job->next;
    if (job->next != NULL)
        job->next->link = job->link;
    if (jobs == NULL)
        ngx_del_timer(&held);
    job->operation = NULL;
    aloop_future_unref(operation);
    if (job->client == NULL) {
        job_free(job);
        return;
    }
    connection = job->client->connection;
    ngx_http_finalize_request(job->client, job_answer(job, status));
    ngx_http_run_posted_requests(connection);
}

/* nginx calls this function when the memory of a request is freed.  What the
 * job has fetched was sent then, or the client has disconnected. */
static void request_ended(void *arg)
{
    struct job *job = arg;

    job->client = NULL;
    if (job->operation == NULL)
        job_free(job);
    else
        aloop_cancel(job->operation);
}

/* Begins the operation of a job.  Its continuation runs in a later step.  On
 * failure the job is freed. */
static ngx_int_t job_begin(struct job *job,
                           const struct aloop_location *location)
{
    if (job->request.url == NULL)
        job->operation = aloop_sleep(loop, ALOOP_MS(location->sleep_ms));
    else
        job->operation =
            aloop_timeout(http_fetch(session, &job->request, &job->page),
                          ALOOP_MS(location->limit_ms));
    if (job->operation == NULL ||
        aloop_then(aloop_future_ref(job->operation), job_ended, job) != 0) {
        aloop_cancel(job->operation);
        /* It uses the job until it has ended.  If the loop runs already, the
         * job is left to it. */
        if (aloop_await(job->operation) != ALOOP_EDEADLK)
            job_free(job);
        return NGX_ERROR;
    }
    job->next = jobs;
    job->link = &jobs;
    if (jobs != NULL)
        jobs->link = &job->next;
    else
        ngx_add_timer(&held, HELD_MS);
    jobs = job;
    return NGX_OK;
}

ngx_int_t aloop_job_start(ngx_http_request_t *client,
                          const struct aloop_location *location)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(client->pool, 0);
    ngx_int_t status = ngx_http_discard_request_body(client);
    struct job *job;

    if (status != NGX_OK)
        return status;
    job = cleanup == NULL ? NULL : calloc(1, sizeof *job);
    if (job == NULL)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    job->client = client;
    job->request.url = (const char *) location->url.data;
    if (job_begin(job, location) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    cleanup->handler = request_ended;
    cleanup->data = job;
    if (!client->discard_body)
        client->read_event_handler = ngx_http_test_reading;
    client->main->count++;
    return NGX_DONE;
}

static void held_due(ngx_event_t *event)
{
    ngx_add_timer(event, HELD_MS);
}

bool aloop_jobs_begin(aloop *with_loop, ngx_log_t *log)
{
    struct http_session_options options = {.connections_max = CONNECTIONS_MAX};

    held.handler = held_due;
    held.log = log;
    loop = with_loop;
    session = http_session_new(loop, &options);
    return session != NULL;
}

void aloop_jobs_end(void)
{
    for (struct job *job = jobs; job != NULL; job = job->next) {
        job->client = NULL;
        aloop_cancel(job->operation);
    }
    while (jobs != NULL && aloop_step(loop, -1) >= 0)
        ;
    http_session_free(session);
}
