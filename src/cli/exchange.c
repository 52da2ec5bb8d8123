#include "cli/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/sse.h"

#define PATIENCE_NS   60000000000u
#define FIRST_WAIT_MS 200
#define MAX_WAIT_MS   5000
#define SILENCE_S     10L                  /* what is retained is answered at once */
#define ANSWER_BYTES  (512u * 1024 * 1024) /* a large message, six bytes for each of its own */

void exchange_open(struct exchange *x, const struct client *c) {
    *x = (struct exchange){.client = c, .share = curl_share_init()};
    if (x->share != NULL)
        curl_share_setopt(x->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
}

void exchange_close(struct exchange *x) {
    curl_share_cleanup(x->share);
    x->share = NULL;
}

struct attempt {
    struct exchange *exchange;
    const char *cache, *topic, *query;
    const char *content_type; /* of `item`; NULL: a GET */
    const char *accept;
    const struct item *item;
    struct buffer body;
    struct sse *sse; /* takes the body instead, when it is one */
    bool has_enough; /* the rest of an event stream is not wanted */
    CURLcode result;
    long status;
    curl_off_t retry_after_s;
};

static size_t collect(char *bytes, size_t size, size_t count, void *context) {
    struct attempt *a = context;
    if (a->sse != NULL) {
        sse_feed(a->sse, bytes, size * count);
        if (a->has_enough)
            return 0;
    }
    if (a->body.length + size * count > ANSWER_BYTES)
        return 0;
    buffer_add(&a->body, bytes, size * count);
    return size * count;
}

static void try_once(struct attempt *a) {
    struct curl_slist *headers;
    buffer_clear(&a->body);
    a->status = 0;
    a->retry_after_s = 0;
    CURL *easy = client_topic(a->exchange->client, a->cache, a->topic, a->query, &headers);
    if (easy == NULL) {
        a->result = CURLE_FAILED_INIT;
        return;
    }
    if (a->content_type != NULL) {
        headers = curl_slist_append(headers, a->content_type);
        headers = curl_slist_append(headers, "Expect:");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, a->item->value);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->item->length);
    }
    if (a->accept != NULL)
        headers = curl_slist_append(headers, a->accept);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_SHARE, a->exchange->share);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    a->result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &a->retry_after_s);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
}

static bool is_good(const struct attempt *a) {
    return a->has_enough || (a->result == CURLE_OK &&
                             (a->content_type != NULL ? a->status == 204 : a->status == 200));
}

static bool is_silent(const struct attempt *a) {
    return a->content_type == NULL && a->result == CURLE_OPERATION_TIMEDOUT && a->status == 0;
}

/* Whether it did nothing yet and may do so later. */
static bool may_come_again(const struct attempt *a) {
    if (a->result == CURLE_OK)
        return a->status == 429 || a->status == 503;
    if (!a->exchange->reached)
        return false;
    if (a->content_type != NULL)
        return a->result == CURLE_COULDNT_CONNECT;
    return a->result == CURLE_COULDNT_CONNECT || a->result == CURLE_GOT_NOTHING ||
           a->result == CURLE_RECV_ERROR || a->result == CURLE_SEND_ERROR ||
           a->result == CURLE_PARTIAL_FILE;
}

static void tell_waiting(struct exchange *x, const char *reason) {
    if (!x->told)
        fprintf(stderr, "hookmoon: %s; trying again for a minute\n", reason);
    x->told = true;
}

static struct exchange_end run(struct attempt *a) {
    struct exchange_end end = {0};
    unsigned wait_ms = FIRST_WAIT_MS;
    uint64_t deadline_ns = clock_mono_ns() + PATIENCE_NS;
    a->exchange->told = false;
    for (;;) {
        try_once(a);
        a->exchange->reached = a->exchange->reached || a->status != 0;
        if (is_good(a))
            return end;
        end.is_silent = is_silent(a);
        end.reason = client_reason(a->exchange->client, a->result, a->status, &a->body);
        uint64_t pause_ms = a->retry_after_s > 0 ? (uint64_t)a->retry_after_s * 1000 : wait_ms;
        if (end.is_silent || !may_come_again(a) ||
            clock_mono_ns() + pause_ms * 1000000 > deadline_ns)
            return end;
        tell_waiting(a->exchange, end.reason);
        free(end.reason);
        end.reason = NULL;
        usleep((useconds_t)(pause_ms * 1000));
        wait_ms = wait_ms * 2 < MAX_WAIT_MS ? wait_ms * 2 : MAX_WAIT_MS;
    }
}

struct exchange_end exchange_read(struct exchange *x, const char *cache, const char *topic,
                                  const char *query, json_t **answer) {
    struct attempt a = {.exchange = x, .cache = cache, .topic = topic, .query = query};
    struct exchange_end end = run(&a);
    *answer = NULL;
    if (end.reason == NULL)
        *answer = json_loadb(buffer_string(&a.body), a.body.length, JSON_ALLOW_NUL, NULL);
    if (end.reason == NULL && *answer == NULL)
        end.reason = xasprintf("%s: the answer is not JSON; is this a hookmoon?", x->client->url);
    buffer_free(&a.body);
    return end;
}

struct exchange_end exchange_publish(struct exchange *x, const char *cache, const char *topic,
                                     const struct item *item) {
    struct attempt a = {
        .exchange = x,
        .cache = cache,
        .topic = topic,
        .query = "",
        .content_type = item->kind == ITEM_TEXT ? "Content-Type: text/plain; charset=utf-8"
                                                : "Content-Type: application/octet-stream",
        .item = item,
    };
    struct exchange_end end = run(&a);
    buffer_free(&a.body);
    return end;
}

static void on_event(void *context, const char *name, const char *data, size_t length) {
    (void)data, (void)length;
    struct attempt *a = context;
    a->has_enough = a->has_enough || strcmp(name, "position") == 0;
}

struct exchange_end exchange_position(struct exchange *x, const char *cache, const char *topic,
                                      uint64_t *page, uint64_t *newest) {
    struct sse sse;
    struct attempt a = {
        .exchange = x,
        .cache = cache,
        .topic = topic,
        .query = "",
        .accept = "Accept: text/event-stream",
        .sse = &sse,
    };
    sse_init(&sse, on_event, &a);
    struct exchange_end end = run(&a);
    char *rest;
    *page = strtoull(buffer_string(&sse.id), &rest, 10);
    *newest = *rest == ':' ? strtoull(rest + 1, NULL, 10) : 0;
    if (end.reason == NULL && (!a.has_enough || *rest != ':'))
        end.reason = xasprintf("%s: the stream does not begin with a position; is this a hookmoon?",
                               x->client->url);
    sse_free(&sse);
    buffer_free(&a.body);
    return end;
}
