/*
 * GET /topics/{cache}/{topic}: long polls and event streams.
 */
#include <stdlib.h>

#include <utlist.h>

#include "ingress/frame.h"
#include "ingress/ingress_internal.h"
#include "ingress/query.h"
#include "ingress/reply.h"

/* Items taken from the broker at once; it stops earlier when they are large. */
#define BATCH 128

/* A long poll that waits, or an event stream. */
struct waiter {
    struct waiter *next, *prev;
    struct ingress *ingress;
    struct http_request *request;
    struct subscription *subscription;
    struct identity *who;
    struct http_stream *stream; /* NULL: a long poll */
    bool full;                  /* the stream's client does not keep up: wait for on_writable */
};

static void on_gone(struct http_request *r, void *data) {
    (void)r;
    struct waiter *w = data;
    struct ingress *in = w->ingress;
    subscription_close(w->subscription);
    identity_unref(w->who);
    DL_DELETE(in->waiters, w);
    in->waiter_count--;
    metric_add(w->stream != NULL ? in->streams : in->long_polls, -1);
    free(w);
}

/* Answers a long poll with an error, or ends a stream with an event that says why. */
static void end_with(struct waiter *w, const struct error *e) {
    if (w->stream == NULL) {
        if (!http_request_replied(w->request))
            reply_error(w->request, e);
        return;
    }
    struct buffer frame = {0};
    buffer_add_string(&frame, "event: error\ndata: ");
    reply_error_body(&frame, error_word(e->code), e->message);
    buffer_add_char(&frame, '\n');
    http_stream_send(w->stream, frame.data, frame.length);
    http_stream_end(w->stream);
    buffer_free(&frame);
}

/* True when the cache was deleted; then it says so. */
static bool has_ended(struct waiter *w) {
    static const struct error deleted = {ERROR_NOT_FOUND, "the cache was deleted"};
    if (!subscription_ended(w->subscription))
        return false;
    end_with(w, &deleted);
    return true;
}

static void unref_all(struct item **items, size_t count) {
    for (size_t i = 0; i < count; i++)
        item_unref(items[i]);
}

/* ---- long poll ---- */

static void long_poll_ready(void *context) {
    struct waiter *w = context;
    struct item *items[BATCH];
    struct discontinuity d;
    bool gap;
    if (http_request_replied(w->request) || has_ended(w))
        return;
    size_t count = subscription_read(w->subscription, items, BATCH, &gap, &d);
    if (count == 0)
        return;
    struct buffer body = {0};
    buffer_add_string(&body, "{\"items\":[");
    if (gap) {
        frame_discontinuity(&body, &d);
        buffer_add_char(&body, ',');
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_add_char(&body, ',');
        frame_item(&body, items[i]);
    }
    buffer_add_string(&body, "]}\n");
    unref_all(items, count);
    http_request_reply(w->request, 200, "application/json", body.data, body.length);
    buffer_free(&body);
}

/* ---- event stream ---- */

static void stream_ready(void *context) {
    struct waiter *w = context;
    struct item *items[BATCH];
    struct discontinuity d;
    bool gap;
    if (has_ended(w))
        return;
    while (!w->full) {
        size_t count = subscription_read(w->subscription, items, BATCH, &gap, &d);
        if (count == 0)
            return;
        if (gap) {
            struct buffer frame = {0};
            frame_stream_gap(&frame, &d);
            http_stream_send(w->stream, frame.data, frame.length);
            buffer_free(&frame);
        }
        const struct buffer *frame = frame_batch(w->ingress->frames, items, count);
        w->full = !http_stream_send(w->stream, frame->data, frame->length);
        log_debug("sent to a subscriber", LOG_INT("items", count),
                  LOG_STR("request", items[count - 1]->request_id));
        unref_all(items, count);
    }
}

static void stream_writable(void *context) {
    struct waiter *w = context;
    w->full = false;
    stream_ready(w);
}

/* Tells where the stream starts, so that a client that loses the connection before its first item
 * resumes from here all the same. The event has data, as not every client keeps an id without. */
static void stream_start(struct waiter *w) {
    struct resume at = subscription_position(w->subscription);
    struct buffer head = {0};
    buffer_add_string(&head, "retry: 1000\nevent: position\n");
    frame_id(&head, at.page, at.number - 1);
    buffer_add_string(&head, "data: {}\n\n");
    http_stream_send(w->stream, head.data, head.length);
    buffer_free(&head);
}

/* ---- both ---- */

static bool wants_stream(const struct http_request *r) {
    const char *accept = http_request_header(r, "Accept");
    return accept != NULL && strcasestr(accept, "text/event-stream") != NULL;
}

void subscribe_request(struct ingress *in, struct http_request *r, const char *cache,
                       const char *topic, struct identity *who) {
    struct error e;
    struct resume resume;
    bool stream = wants_stream(r);
    if (ingress_phase(in) == PHASE_STOPPING) {
        reply_refuse(r, 503, "unavailable", "the gateway is stopping");
        identity_unref(who);
        return;
    }
    if (!query_resume(&resume, http_request_argument(r, "sequence_number"),
                      http_request_argument(r, "sequence_page"),
                      stream ? http_request_header(r, "Last-Event-ID") : NULL, &e)) {
        reply_error(r, &e);
        identity_unref(who);
        return;
    }
    struct waiter *w = xcalloc(1, sizeof *w);
    w->ingress = in;
    w->who = who;
    w->request = r;
    w->subscription = subscription_open(in->mailbox, cache, topic, resume,
                                        stream ? stream_ready : long_poll_ready, w, &e);
    if (w->subscription == NULL) {
        identity_unref(who);
        free(w);
        reply_error(r, &e);
        return;
    }
    DL_APPEND(in->waiters, w);
    in->waiter_count++;
    metric_add(stream ? in->streams : in->long_polls, 1);
    http_request_set_data(r, w, on_gone);
    if (!stream) {
        long_poll_ready(w);
        return;
    }
    log_debug("stream opened", LOG_STR("cache", cache), LOG_STR("topic", topic),
              LOG_STR("request", http_request_id(r)));
    w->stream = http_request_stream(r, 200, "text/event-stream", stream_writable, w);
    stream_start(w);
    stream_ready(w);
}

void subscribe_heartbeat(struct ingress *in) {
    static const char comment[] = ": heartbeat\n\n";
    struct waiter *w;
    DL_FOREACH(in->waiters, w) {
        if (w->stream != NULL && !w->full)
            w->full = !http_stream_send(w->stream, comment, sizeof comment - 1);
    }
}

void subscribe_check(struct ingress *in) {
    struct waiter *w, *next;
    struct error e;
    DL_FOREACH_SAFE(in->waiters, w, next) {
        if (!access_still_valid(in->shared->access, w->who, &e))
            end_with(w, &e);
    }
}

void subscribe_release(struct ingress *in) {
    struct waiter *w, *next;
    DL_FOREACH_SAFE(in->waiters, w, next) {
        /* First what was published a moment ago. */
        if (w->stream != NULL) {
            stream_ready(w);
            http_stream_end(w->stream);
        } else {
            long_poll_ready(w);
            if (!http_request_replied(w->request))
                reply_json(w->request, 200, "{\"items\":[]}\n");
        }
    }
}
