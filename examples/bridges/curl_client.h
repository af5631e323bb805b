/* Transfers by libcurl (HTTP/1.1, HTTP/2, FTP, ...): a bridge to copy into a
 * program.
 *
 *     curl_client *client = curl_client_new(loop);
 *     CURL *easy = curl_easy_init();
 *     ssize_t status;
 *
 *     curl_easy_setopt(easy, CURLOPT_URL, "https://example.org/");
 *     curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, page_write);
 *     curl_easy_setopt(easy, CURLOPT_WRITEDATA, &page);
 *     status = aloop_await(curl_fetch(client, easy));
 *     if (status < 0)
 *         fprintf(stderr, "%s\n", curl_client_error(status));
 *     curl_easy_cleanup(easy);
 *     ...
 *     curl_client_free(client);
 *
 * A transfer is an operation: tasks await it, it is gathered with others, and
 * deadlines and cancels end it.  Its easy handle, which belongs to the caller,
 * has the options for what is transferred and where to.
 *
 * A client keeps connections and the cache of names for its transfers.  Many
 * transfers from one host share one connection if the server speaks HTTP/2, and
 * use up to six connections otherwise; the others wait.  A TLS handshake
 * occupies the loop for one to three milliseconds, so that a hundred
 * connections would delay all timers.  CURLMOPT_MAX_HOST_CONNECTIONS changes
 * the number; see curl_client_multi().  Connections stay open for later
 * transfers: up to 100, or as many as there were transfers at a time.
 *
 * The callbacks of an easy handle (CURLOPT_WRITEFUNCTION, ...) run in a turn of
 * the loop, and also inside aloop_cancel(), and cannot await.  They may cancel
 * transfers, but must not free the client.
 *
 * Names of hosts are looked up by libcurl: on threads, if it was built in the
 * usual way.  A cancel does not wait for a thread, but with libcurl before 7.87
 * it does, and blocks the loop meanwhile. */

#ifndef BRIDGES_CURL_CLIENT_H
#define BRIDGES_CURL_CLIENT_H

#include <aloop.h>
#include <curl/curl.h>

typedef struct curl_client curl_client;

enum { CURL_CLIENT_EBASE = -7000 };

/* The status of a transfer that failed with this CURLcode, such as
 * CURL_CLIENT_ERROR(CURLE_PEER_FAILED_VERIFICATION). */
#define CURL_CLIENT_ERROR(code) (CURL_CLIENT_EBASE - (ssize_t) (code))

/**
 * Makes a client, without connections.
 *
 * The program calls curl_global_init() before that.
 *
 * Returns: the client, or NULL if out of memory.
 * Memory:  the caller frees the client by curl_client_free(), before the loop.
 */
curl_client *curl_client_new(aloop *loop);

/**
 * Returns the multi handle of a client, for curl_multi_setopt().
 *
 * The options that begin with CURLMOPT_SOCKET and CURLMOPT_TIMER belong to the
 * bridge, and so do transfers: only curl_fetch() begins and ends them.
 */
CURLM *curl_client_multi(curl_client *client);

/**
 * Closes all connections, and frees the client.
 *
 * Transfers in progress are cancelled: their tasks get ALOOP_EABORTED.  NULL is
 * allowed.
 *
 * Context: anywhere but in callbacks of libcurl.
 */
void curl_client_free(curl_client *client);

/**
 * Begins the transfer of an easy handle.
 *
 * The bridge sets these options of `easy`: CURLOPT_NOSIGNAL to 1;
 * CURLOPT_PIPEWAIT to 1 if its URL begins with "https:", so that transfers wait
 * for a connection that they can share instead of making more;
 * CURLOPT_QUICK_EXIT to 1, so that a cancel does not wait for a look-up of a
 * name; and CURLOPT_PRIVATE, which has its old value again when the transfer
 * has ended.
 *
 * Status:  0: libcurl has completed the transfer.  For HTTP this includes
 *          answers such as 404, unless CURLOPT_FAILONERROR is set.
 * Errors:  CURL_CLIENT_ERROR(code): it failed, with this CURLcode; the buffer
 *          of CURLOPT_ERRORBUFFER, if there is one, shows why;
 *          ALOOP_EBUSY: the call was made in a callback of libcurl;
 *          ALOOP_EINVAL: `easy` is in use already, or is not an easy handle;
 *          ALOOP_ENOMEM: out of memory, or `client` or `easy` is NULL;
 *          others: a descriptor cannot be watched.  Such an error, and
 *          ALOOP_ENOMEM, may end all transfers of the client.
 * Memory:  `easy`, and what its options refer to, are borrowed until the future
 *          settles.
 */
ALOOP_MUST_USE
aloop_future *curl_fetch(curl_client *client, CURL *easy);

/* Returns the status of a transfer in words. */
const char *curl_client_error(ssize_t status);

#endif
