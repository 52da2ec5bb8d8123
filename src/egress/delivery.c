#include "egress/delivery.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/sha.h>

#include "egress/momento_event.h"

#define ANSWER_BYTES (64 * 1024)
/* A connection that was idle for longer is not used again: the other side may be about to close it,
 * and an item that is sent once is lost to that. */
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
    [DELIVERY_REFUSED] = "refused",
    [DELIVERY_OTHER] = "other",
};

struct delivery {
    struct curl_transfer transfer; /* first: what curl_loop hands back is this */
    struct curl_loop *loop;        /* of the attempt in flight */
    const struct delivery_target *target;
    void *data;
    CURL *easy;
    struct curl_slist *headers;
    struct buffer body;
    struct item *item; /* NULL: nothing is in flight */
    bool sent;         /* from here on it may have arrived */
    bool refused;      /* by the guard */
    size_t answered;   /* bytes of the answer's body */
    uint64_t started_ns;
    char message[CURL_ERROR_SIZE];
};

static void let_go(struct delivery *d) {
    if (d->item != NULL)
        item_unref(d->item);
    d->item = NULL;
    curl_slist_free_all(d->headers);
    d->headers = NULL;
}

static enum delivery_outcome outcome_of(const struct delivery *d, CURLcode result, long status) {
    if (d->refused)
        return DELIVERY_REFUSED;
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
    enum delivery_outcome outcome = outcome_of(d, result, status);
    if (outcome == DELIVERY_REFUSED)
        snprintf(why, size,
                 "the address is a private one, which destinations set through the API may not "
                 "have (webhook_networks allows it)");
    else if (outcome == DELIVERY_OK || outcome == DELIVERY_REDIRECT || outcome == DELIVERY_STATUS)
        snprintf(why, size, "status %ld", status);
    else if (result == CURLE_ABORTED_BY_CALLBACK)
        snprintf(why, size, "the connection was closed without an answer");
    else
        snprintf(why, size, "%s", d->message[0] != '\0' ? d->message : curl_easy_strerror(result));
}

/* Retry-After, in seconds or as a date. */
static int64_t asked_pause_ms(const struct delivery *d) {
    curl_off_t seconds = 0;
    curl_easy_getinfo(d->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0)
        return 0;
    return seconds < DELIVERY_PAUSE_MAX_MS / 1000 ? (int64_t)seconds * 1000 : DELIVERY_PAUSE_MAX_MS;
}

static void on_done(struct curl_transfer *transfer, CURLcode result) {
    struct delivery *d = (struct delivery *)transfer;
    long status = 0;
    char why[CURL_ERROR_SIZE + 32];
    curl_easy_getinfo(d->easy, CURLINFO_RESPONSE_CODE, &status);
    explain(d, result, status, why, sizeof why);
    const struct delivery_result r = {
        .outcome = outcome_of(d, result, status),
        .why = why,
        .pause_ms = status == 429 || status == 503 ? asked_pause_ms(d) : 0,
        .duration_ns = clock_mono_ns() - d->started_ns,
    };
    /* Taken out, so that it may be started again in there. */
    struct item *item = d->item;
    d->item = NULL;
    let_go(d);
    d->target->ended(d, item, &r);
    item_unref(item);
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    struct delivery *d = context;
    d->answered += size * count;
    return d->answered <= ANSWER_BYTES ? size * count : 0;
}

/* CURLOPT_OPENSOCKETFUNCTION */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *to) {
    struct delivery *d = context;
    const struct delivery_network *n = d->target->network;
    (void)purpose;
    if (n->guarded && !(n->open && guard_is_loopback(&to->addr)) &&
        !guard_allows(&to->addr, n->allowed, n->allowed_count)) {
        d->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* CURLOPT_PREREQFUNCTION, before a request goes out. libcurl sends again of itself when a
 * connection that was kept dies before a byte of an answer, but the item may have arrived: one that
 * is to be sent once is not sent again. */
static int on_sending(void *context, char *local_address, char *address, int local_port, int port) {
    (void)local_address, (void)address, (void)local_port, (void)port;
    struct delivery *d = context;
    if (d->sent && d->target->webhook->policy.once)
        return CURL_PREREQFUNC_ABORT;
    d->sent = true;
    return CURL_PREREQFUNC_OK;
}

static void set_fixed_options(struct delivery *d) {
    CURL *easy = d->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, d);
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

struct delivery *delivery_new(const struct delivery_target *target) {
    struct delivery *d = xcalloc(1, sizeof *d);
    d->transfer.done = on_done;
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

void delivery_id(char id[DELIVERY_ID_SIZE], const struct webhook_entry *w, const char *topic,
                 const struct item *item) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[1024]; /* three names of 255 bytes and two numbers */
    int length = snprintf(text, sizeof text, "%s\n%s\n%s\n%llu:%llu", w->cache, w->name, topic,
                          (unsigned long long)item->page, (unsigned long long)item->number);
    SHA256((const unsigned char *)text, (size_t)length, digest);
    snprintf(id, DELIVERY_ID_SIZE, "msg_");
    for (size_t i = 0; i < 16; i++)
        snprintf(id + 4 + 2 * i, 3, "%02x", digest[i]);
}

static bool make_headers(struct delivery *d) {
    static const char signature[] = "momento-signature: ", request[] = "X-Request-Id: ";
    char own_id[sizeof "webhook-id: " + DELIVERY_ID_SIZE] = "webhook-id: ";
    char line[sizeof signature + MOMENTO_SIGNATURE_HEX], id[64];
    memcpy(line, signature, sizeof signature - 1);
    if (!signer_sign(d->target->signer, d->body.data, d->body.length, line + sizeof signature - 1))
        return false;
    d->headers = curl_slist_append(NULL, "Content-Type: application/json");
    d->headers = curl_slist_append(d->headers, line);
    delivery_id(own_id + strlen(own_id), d->target->webhook, d->target->topic, d->item);
    d->headers = curl_slist_append(d->headers, own_id);
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
    d->sent = d->refused = false;
    d->loop = d->target->network->curl;
    d->answered = 0;
    d->message[0] = '\0';
    d->started_ns = clock_mono_ns();
    buffer_clear(&d->body);
    momento_event_write(&d->body, w->cache, d->target->topic, item, clock_wall_ms());
    if (!make_headers(d))
        goto fail;
    curl_easy_setopt(d->easy, CURLOPT_URL, w->url);
    curl_easy_setopt(d->easy, CURLOPT_TIMEOUT_MS, (long)d->target->timeout_ms);
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

const struct delivery_target *delivery_target(const struct delivery *d) {
    return d->target;
}

void delivery_set_data(struct delivery *d, void *data) {
    d->data = data;
}

void *delivery_data(const struct delivery *d) {
    return d->data;
}
