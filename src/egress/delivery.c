#include "egress/delivery.h"

#include <stdio.h>
#include <stdlib.h>

#include "egress/momento_event.h"

#define ANSWER_BYTES (64 * 1024)
/* A connection that was idle for longer is not used again: the other side may be about to close it,
 * and an item that is lost to that is not sent again. */
#define IDLE_SECONDS 1

static const char user_agent[] =
    "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)";

const char *const delivery_words[DELIVERY_OUTCOMES] = {
    [DELIVERY_OK] = "ok",
    [DELIVERY_STATUS] = "status",
    [DELIVERY_REDIRECT] = "redirect",
    [DELIVERY_TIMEOUT] = "timeout",
    [DELIVERY_CONNECT] = "connect",
    [DELIVERY_TLS] = "tls",
    [DELIVERY_OTHER] = "other",
};

struct delivery {
    struct curl_transfer transfer; /* first: what curl_loop hands back is this */
    struct curl_loop *loop;
    const struct delivery_target *target;
    CURL *easy;
    struct curl_slist *headers;
    struct buffer body;
    struct item *item; /* NULL: nothing is in flight */
    bool sent;         /* from here on it may have arrived */
    size_t answered;   /* bytes of the answer's body */
    uint64_t started_ns, duration_ns;
    char message[CURL_ERROR_SIZE];
};

static void let_go(struct delivery *d) {
    if (d->item != NULL)
        item_unref(d->item);
    d->item = NULL;
    curl_slist_free_all(d->headers);
    d->headers = NULL;
}

static enum delivery_outcome outcome_of(CURLcode result, long status) {
    /* An answer whose body is too long was an answer. */
    if (result == CURLE_OK || (result == CURLE_WRITE_ERROR && status >= 200))
        return status >= 200 && status < 300   ? DELIVERY_OK
               : status >= 300 && status < 400 ? DELIVERY_REDIRECT
                                               : DELIVERY_STATUS;
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return DELIVERY_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return DELIVERY_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return DELIVERY_TLS;
    default:
        return DELIVERY_OTHER;
    }
}

static void explain(const struct delivery *d, CURLcode result, long status, char *why,
                    size_t size) {
    enum delivery_outcome outcome = outcome_of(result, status);
    if (outcome == DELIVERY_OK || outcome == DELIVERY_REDIRECT || outcome == DELIVERY_STATUS)
        snprintf(why, size, "status %ld", status);
    else if (result == CURLE_ABORTED_BY_CALLBACK)
        snprintf(why, size, "the connection was closed without an answer");
    else
        snprintf(why, size, "%s", d->message[0] != '\0' ? d->message : curl_easy_strerror(result));
}

static void on_done(struct curl_transfer *transfer, CURLcode result) {
    struct delivery *d = (struct delivery *)transfer;
    long status = 0;
    char why[CURL_ERROR_SIZE + 32];
    curl_easy_getinfo(d->easy, CURLINFO_RESPONSE_CODE, &status);
    explain(d, result, status, why, sizeof why);
    d->duration_ns = clock_mono_ns() - d->started_ns;
    /* Taken out, so that it may be started again in there. */
    struct item *item = d->item;
    d->item = NULL;
    let_go(d);
    d->target->ended(d, item, outcome_of(result, status), why);
    item_unref(item);
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    struct delivery *d = context;
    d->answered += size * count;
    return d->answered <= ANSWER_BYTES ? size * count : 0;
}

/* CURLOPT_PREREQFUNCTION, before a request goes out. libcurl sends again of itself when a
 * connection that was kept dies before a byte of an answer, but the item may have arrived: it is
 * sent once. */
static int on_sending(void *context, char *local_address, char *address, int local_port, int port) {
    (void)local_address, (void)address, (void)local_port, (void)port;
    struct delivery *d = context;
    if (d->sent)
        return CURL_PREREQFUNC_ABORT;
    d->sent = true;
    return CURL_PREREQFUNC_OK;
}

static void set_fixed_options(struct delivery *d) {
    CURL *easy = d->easy;
    curl_easy_setopt(easy, CURLOPT_URL, d->target->webhook->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)d->target->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
    /* Else the end of a transfer waits, and with it the loop, until the name is looked up. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* the environment must not redirect us */
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, d->message);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_sending);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, d);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, d);
}

struct delivery *delivery_new(struct curl_loop *loop, const struct delivery_target *target) {
    struct delivery *d = xcalloc(1, sizeof *d);
    d->transfer.done = on_done;
    d->loop = loop;
    d->target = target;
    d->easy = curl_easy_init();
    if (d->easy == NULL) {
        free(d);
        return NULL;
    }
    set_fixed_options(d);
    return d;
}

void delivery_free(struct delivery *d) {
    if (d == NULL)
        return;
    if (d->item != NULL)
        curl_loop_cancel(d->loop, d->easy);
    let_go(d);
    curl_easy_cleanup(d->easy);
    buffer_free(&d->body);
    free(d);
}

static bool make_headers(struct delivery *d) {
    static const char signature[] = "momento-signature: ", request[] = "X-Request-Id: ";
    char line[sizeof signature + MOMENTO_SIGNATURE_HEX], id[64];
    memcpy(line, signature, sizeof signature - 1);
    if (!signer_sign(d->target->signer, d->body.data, d->body.length, line + sizeof signature - 1))
        return false;
    d->headers = curl_slist_append(NULL, "Content-Type: application/json");
    d->headers = curl_slist_append(d->headers, line);
    d->headers = curl_slist_append(d->headers, "Expect:");
    d->headers = curl_slist_append(d->headers, "Accept:");
    if (d->item->request_id[0] != '\0') {
        snprintf(id, sizeof id, "%s%s", request, d->item->request_id);
        d->headers = curl_slist_append(d->headers, id);
    }
    return true;
}

bool delivery_start(struct delivery *d, struct item *item) {
    const struct webhook_entry *w = d->target->webhook;
    d->item = item;
    d->sent = false;
    d->answered = 0;
    d->message[0] = '\0';
    d->started_ns = clock_mono_ns();
    buffer_clear(&d->body);
    momento_event_write(&d->body, w->cache, w->topic, item, clock_wall_ms());
    if (!make_headers(d))
        goto fail;
    curl_easy_setopt(d->easy, CURLOPT_POSTFIELDS, d->body.data);
    curl_easy_setopt(d->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)d->body.length);
    curl_easy_setopt(d->easy, CURLOPT_HTTPHEADER, d->headers);
    if (curl_loop_add(d->loop, d->easy, &d->transfer))
        return true;
fail:
    d->item = NULL; /* stays the caller's */
    let_go(d);
    return false;
}

void *delivery_context(const struct delivery *d) {
    return d->target->context;
}

uint64_t delivery_duration_ns(const struct delivery *d) {
    return d->duration_ns;
}
