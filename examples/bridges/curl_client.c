/* Transfers by libcurl.
 *
 * libcurl refuses to end a transfer inside of its own callbacks.  A transfer
 * that the user cancels there is ended by client_settle(), which follows each
 * of its calls. */

#include "curl_client.h"

#include <stdlib.h>

#include "curl_loop.h"

struct transfer {
    struct transfer *next, **link; /* In the list of the client. */
    curl_client *client;
    CURL *easy;
    aloop_future *operation;
    char *old_private; /* That of the user. */
    bool is_cancelled; /* Inside a callback of libcurl. */
};

struct curl_client {
    struct curl_loop curl; /* The first member. */
    struct transfer *transfers;
    bool is_asked; /* A transfer has is_cancelled. */
};

static void transfer_end(struct transfer *transfer, ssize_t status)
{
    curl_client *client = transfer->client;

    client->curl.is_inside = true;
    curl_multi_remove_handle(client->curl.multi, transfer->easy);
    client->curl.is_inside = false;
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer->old_private);
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    aloop_operation_settle(transfer->operation, status);
    free(transfer);
}

static ssize_t error_of(CURLcode code)
{
    return code == CURLE_OUT_OF_MEMORY ? ALOOP_ENOMEM : CURL_CLIENT_ERROR(code);
}

static void end_completed(CURLM *multi)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        void *transfer = NULL;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer_end(transfer, code == CURLE_OK ? 0 : error_of(code));
    }
}

/* Ends what has completed, what was cancelled while libcurl ran, and everything
 * if libcurl cannot continue.  To end a transfer may cause more of these. */
static void client_settle(struct curl_loop *curl)
{
    curl_client *client = (curl_client *) curl;

    end_completed(curl->multi);
    while (client->is_asked || curl->error != 0) {
        ssize_t error = curl->error;
        struct transfer *transfer = client->transfers, *next;

        client->is_asked = false;
        curl->error = 0;
        for (; transfer != NULL; transfer = next) {
            next = transfer->next;
            if (transfer->is_cancelled)
                transfer_end(transfer, ALOOP_ECANCELED);
            else if (error != 0)
                transfer_end(transfer, error);
        }
    }
}

curl_client *curl_client_new(aloop *loop)
{
    curl_client *client = calloc(1, sizeof *client);

    if (client == NULL)
        return NULL;
    if (curl_loop_open(&client->curl, loop, client_settle) < 0) {
        curl_client_free(client);
        return NULL;
    }
    return client;
}

CURLM *curl_client_multi(curl_client *client)
{
    return client->curl.multi;
}

void curl_client_free(curl_client *client)
{
    if (client == NULL)
        return;
    while (client->transfers != NULL)
        transfer_end(client->transfers, ALOOP_ECANCELED);
    curl_loop_close(&client->curl);
    free(client);
}

static void transfer_cancel(aloop_future *operation, void *arg)
{
    struct transfer *transfer = arg;
    curl_client *client = transfer->client;

    (void) operation;
    if (client->curl.is_inside) {
        transfer->is_cancelled = client->is_asked = true;
    } else {
        transfer_end(transfer, ALOOP_ECANCELED);
        client_settle(&client->curl);
    }
}

/* Gives the transfer to libcurl, which begins with it in the next turn. */
static ssize_t transfer_begin(struct transfer *transfer)
{
    curl_client *client = transfer->client;
    CURL *easy = transfer->easy;
    CURLMcode code = curl_multi_add_handle(client->curl.multi, easy);

    if (code != CURLM_OK)
        return curl_loop_error(code);
    curl_loop_set_options(easy);
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer->old_private);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    transfer->next = client->transfers;
    transfer->link = &client->transfers;
    if (transfer->next != NULL)
        transfer->next->link = &transfer->next;
    client->transfers = transfer;
    client_settle(&client->curl);
    return 0;
}

aloop_future *curl_fetch(curl_client *client, CURL *easy)
{
    struct transfer *transfer;
    aloop_future *operation;
    ssize_t error;

    if (client == NULL || easy == NULL)
        return NULL;
    if (client->curl.is_inside)
        return aloop_future_new_settled(client->curl.loop, ALOOP_EBUSY);
    transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL)
        return NULL;
    operation =
        aloop_operation_new(client->curl.loop, transfer_cancel, transfer);
    *transfer = (struct transfer){.client = client,
                                  .easy = easy,
                                  .operation = operation};
    error = operation != NULL ? transfer_begin(transfer) : ALOOP_ENOMEM;
    if (error != 0) {
        aloop_operation_settle(operation, error); /* NULL is allowed. */
        free(transfer);
    }
    return operation;
}

const char *curl_client_error(ssize_t status)
{
    return status < CURL_CLIENT_EBASE && status > CURL_CLIENT_EBASE - CURL_LAST
               ? curl_easy_strerror((CURLcode) (CURL_CLIENT_EBASE - status))
               : aloop_strerror(status);
}
