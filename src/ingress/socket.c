/*
 * GET /socket: WebSockets that carry any number of subscriptions and publishes.
 */
#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "base/request_id.h"
#include "ingress/cors.h"
#include "ingress/frame.h"
#include "ingress/ingress_internal.h"
#include "ingress/reply.h"
#include "ingress/socket_message.h"
#include "net/websocket.h"

/* Subscriptions of one socket. */
#define FEEDS 1000
/* Items of a subscription before the socket's next one has its turn. */
#define BATCH 16
/* Before we know who it is, nobody needs more than a key. */
#define STRANGER_BYTES 8192
/* What a message has beside its value. */
#define ENVELOPE_BYTES        4096
#define CLOSE_UNAUTHENTICATED 4401

/* A subscription of a socket. */
struct feed {
    UT_hash_handle hh; /* by its id */
    char *id;          /* as JSON */
    struct client *client;
    struct subscription *subscription;
    struct feed *ready_next, *ready_prev;
    bool ready; /* there may be something to read */
};

/* A socket. */
struct client {
    struct client *next, *prev;
    struct ingress *ingress;
    struct websocket *websocket;
    struct identity *who; /* NULL: not known yet */
    bool settled;         /* who it is was said with the request, or it is too late to say */
    uint64_t since_ms;
    struct feed *feeds;
    struct feed *ready; /* whose turn comes, in order */
    struct pending *pending;
    char request[REQUEST_ID_SIZE];
};

/* ---- answers ---- */

/* {"type":TYPE,"id":ID as far as it goes; the caller adds members and ends it. */
static void begin(struct buffer *b, const char *type, const char *id) {
    buffer_add_string(b, "{\"type\":\"");
    buffer_add_string(b, type);
    buffer_add_char(b, '"');
    if (id != NULL) {
        buffer_add_string(b, ",\"id\":");
        buffer_add_string(b, id);
    }
}

static void finish(struct client *c, struct buffer *b) {
    buffer_add_char(b, '}');
    websocket_send(c->websocket, b->data, b->length);
    buffer_free(b);
}

static void say(struct client *c, const char *type, const char *id) {
    struct buffer b = {0};
    begin(&b, type, id);
    finish(c, &b);
}

static void say_error(struct client *c, const char *type, const char *id, const struct error *e) {
    struct buffer b = {0};
    begin(&b, type, id);
    buffer_add_char(&b, ',');
    reply_error_members(&b, error_word(e->code), e->message);
    finish(c, &b);
}

/* ---- subscriptions ---- */

static void make_ready(struct feed *f) {
    if (!f->ready)
        DL_APPEND2(f->client->ready, f, ready_prev, ready_next);
    f->ready = true;
    websocket_wake(f->client->websocket);
}

static void on_ready(void *context) {
    make_ready(context);
}

static void feed_close(struct feed *f) {
    struct client *c = f->client;
    if (f->ready)
        DL_DELETE2(c->ready, f, ready_prev, ready_next);
    HASH_DEL(c->feeds, f);
    subscription_close(f->subscription);
    metric_add(c->ingress->socket_feeds, -1);
    free(f->id);
    free(f);
}

static struct feed *feed_find(const struct client *c, const char *id) {
    struct feed *f = NULL;
    HASH_FIND_STR(c->feeds, id, f);
    return f;
}

static void send_gap(struct feed *f, const struct discontinuity *d) {
    struct buffer b = {0};
    begin(&b, "discontinuity", f->id);
    buffer_add_char(&b, ',');
    frame_discontinuity_member(&b, d);
    finish(f->client, &b);
}

static void send_items(struct feed *f, struct item **items, size_t count) {
    struct buffer b = {0};
    for (size_t i = 0; i < count; i++) {
        begin(&b, "item", f->id);
        buffer_add_char(&b, ',');
        frame_item_member(&b, items[i]);
        buffer_add_char(&b, '}');
        websocket_send(f->client->websocket, b.data, b.length);
        buffer_clear(&b);
        item_unref(items[i]);
    }
    buffer_free(&b);
}

/* Gives it its turn: it goes to the end of the queue, or out of it when it has nothing more. */
static void feed_turn(struct feed *f) {
    static const struct error deleted = {ERROR_NOT_FOUND, "the cache was deleted"};
    struct client *c = f->client;
    struct item *items[BATCH];
    struct discontinuity d;
    bool gap;
    if (subscription_ended(f->subscription)) {
        say_error(c, "ended", f->id, &deleted);
        feed_close(f);
        return;
    }
    DL_DELETE2(c->ready, f, ready_prev, ready_next);
    f->ready = false;
    size_t count = subscription_read(f->subscription, items, BATCH, &gap, &d);
    if (count == 0)
        return;
    DL_APPEND2(c->ready, f, ready_prev, ready_next);
    f->ready = true;
    log_debug("sent to a subscriber", LOG_INT("items", count),
              LOG_STR("request", items[count - 1]->request_id));
    if (gap)
        send_gap(f, &d);
    send_items(f, items, count);
}

static void on_writable(struct websocket *w) {
    struct client *c = websocket_data(w);
    while (c->ready != NULL && websocket_has_room(w))
        feed_turn(c->ready);
    if (c->ready != NULL)
        websocket_wake(w);
}

/* ---- messages ---- */

static bool check_names(const struct client *c, const struct socket_message *m, enum role role,
                        struct error *e) {
    const char *cache_defect = broker_name_defect(m->cache, strlen(m->cache));
    const char *topic_defect = broker_name_defect(m->topic, strlen(m->topic));
    if (!identity_may(c->who, role, m->cache, m->topic, e))
        return false;
    if (cache_defect != NULL)
        return error_set(e, ERROR_INVALID, "the cache name %s", cache_defect);
    return topic_defect == NULL || error_set(e, ERROR_INVALID, "the topic name %s", topic_defect);
}

/* A publish that waits for its commit; the socket may be gone before. */
struct pending {
    struct pending *next, *prev;
    struct client *client; /* NULL: it is gone */
    char *id;              /* as JSON */
};

static struct pending *pending_new(struct client *c, const char *id) {
    struct pending *p = xcalloc(1, sizeof *p);
    p->client = c;
    p->id = id != NULL ? xstrdup(id) : NULL;
    DL_APPEND(c->pending, p);
    return p;
}

static void pending_free(struct pending *p) {
    if (p->client != NULL)
        DL_DELETE(p->client->pending, p);
    free(p->id);
    free(p);
}

static void on_published(void *context, const struct error *e) {
    struct pending *p = context;
    struct client *c = p->client;
    if (c != NULL) {
        metric_add(e == NULL ? c->ingress->publish_ok : c->ingress->publish_refused, 1);
        if (e == NULL)
            say(c, "published", p->id);
        else
            say_error(c, "error", p->id, e);
    }
    pending_free(p);
}

static bool publish(struct client *c, const struct socket_message *m, struct error *e) {
    struct ingress *in = c->ingress;
    if (!check_names(c, m, ROLE_PUBLISH, e))
        return false;
    if (ingress_phase(in) != PHASE_RUNNING)
        return error_set(e, ERROR_UNAVAILABLE, "the gateway is stopping");
    log_debug("publishing", LOG_STR("cache", m->cache), LOG_STR("topic", m->topic),
              LOG_STR("request", c->request));
    struct item *item = item_new(m->kind, m->value, m->length, c->who->id, c->request);
    struct pending *p = pending_new(c, m->id);
    bool good = broker_publish(in->mailbox, &(struct publish){m->cache, m->topic, item}, 1,
                               on_published, p, e);
    item_unref(item);
    if (!good)
        pending_free(p);
    return good;
}

static bool on_publish(struct client *c, const struct socket_message *m, struct error *e) {
    bool good = publish(c, m, e);
    if (!good)
        metric_add(c->ingress->publish_refused, 1);
    return good;
}

static bool on_subscribe(struct client *c, const struct socket_message *m, struct error *e) {
    if (!check_names(c, m, ROLE_SUBSCRIBE, e))
        return false;
    if (feed_find(c, m->id) != NULL)
        return error_set(e, ERROR_EXISTS, "there is a subscription of this id already");
    if (HASH_COUNT(c->feeds) >= FEEDS)
        return error_set(e, ERROR_SUBSCRIBERS,
                         "a socket carries at most %d subscriptions; open another one", FEEDS);
    struct feed *f = xcalloc(1, sizeof *f);
    f->client = c;
    f->subscription =
        subscription_open(c->ingress->mailbox, m->cache, m->topic, m->resume, on_ready, f, e);
    if (f->subscription == NULL) {
        free(f);
        return false;
    }
    f->id = xstrdup(m->id);
    HASH_ADD_KEYPTR(hh, c->feeds, f->id, strlen(f->id), f);
    metric_add(c->ingress->socket_feeds, 1);
    struct resume at = subscription_position(f->subscription);
    struct buffer b = {0};
    begin(&b, "subscribed", f->id);
    buffer_add_string(&b, ",\"sequence_page\":");
    buffer_add_u64(&b, at.page);
    buffer_add_string(&b, ",\"sequence_number\":");
    buffer_add_u64(&b, at.number);
    finish(c, &b);
    make_ready(f);
    return true;
}

static bool on_unsubscribe(struct client *c, const struct socket_message *m, struct error *e) {
    struct feed *f = feed_find(c, m->id);
    if (f == NULL)
        return error_set(e, ERROR_NOT_FOUND, "there is no subscription of this id");
    feed_close(f);
    say(c, "unsubscribed", m->id);
    return true;
}

static void end_unauthenticated(struct client *c, const char *reason) {
    log_debug("socket refused", LOG_STR("why", reason), LOG_STR("request", c->request));
    websocket_close(c->websocket, CLOSE_UNAUTHENTICATED, reason);
}

static size_t message_bytes(const struct ingress *in) {
    return in->shared->config->limits.message_bytes / 3 * 4 + ENVELOPE_BYTES;
}

static bool on_auth(struct client *c, const struct socket_message *m, bool first, struct error *e) {
    if (!first)
        return error_set(e, ERROR_PRECONDITION,
                         "auth is the first message, and only when no key came with the request");
    struct identity *who = access_identify(c->ingress->shared->access, m->token, e);
    if (who == NULL) {
        end_unauthenticated(c, e->message);
        return true;
    }
    identity_unref(c->who);
    c->who = who;
    websocket_limit(c->websocket, message_bytes(c->ingress));
    say(c, "authenticated", m->id);
    return true;
}

static bool obey(struct client *c, const struct socket_message *m, bool first, struct error *e) {
    switch (m->verb) {
    case SOCKET_AUTH:
        return on_auth(c, m, first, e);
    case SOCKET_PUBLISH:
        return on_publish(c, m, e);
    case SOCKET_SUBSCRIBE:
        return on_subscribe(c, m, e);
    case SOCKET_UNSUBSCRIBE:
        return on_unsubscribe(c, m, e);
    case SOCKET_PING:
        say(c, "pong", m->id);
        break;
    }
    return true;
}

static void on_message(struct websocket *w, const char *text, size_t length) {
    struct client *c = websocket_data(w);
    struct socket_message m;
    struct error e;
    bool first = !c->settled;
    c->settled = true;
    bool good = socket_message_parse(&m, text, length, &e);
    if (c->who == NULL && (!good || m.verb != SOCKET_AUTH)) /* what is wrong might hold the key */
        end_unauthenticated(c, "the first message must be auth, as no key came with the request");
    else if (c->who != NULL && !access_still_valid(c->ingress->shared->access, c->who, &e))
        end_unauthenticated(c, e.message);
    else if (!good || !obey(c, &m, first, &e))
        say_error(c, "error", m.id, &e);
    socket_message_clear(&m);
}

/* ---- the life of a socket ---- */

static void on_closed(struct websocket *w) {
    struct client *c = websocket_data(w);
    struct feed *f, *next;
    HASH_ITER(hh, c->feeds, f, next)
    feed_close(f);
    struct pending *p, *next_pending;
    DL_FOREACH_SAFE(c->pending, p, next_pending) {
        DL_DELETE(c->pending, p);
        p->client = NULL;
    }
    log_debug("socket closed", LOG_STR("request", c->request));
    DL_DELETE(c->ingress->clients, c);
    identity_unref(c->who);
    free(c);
}

size_t socket_headers(struct ingress *in, struct http_request *r) {
    unsigned status;
    const char *defect;
    if (cors_refused(in->shared->config, r))
        return 0;
    if (!websocket_check(r, &status, &defect)) {
        http_request_set_header(r, "Upgrade", "websocket");
        http_request_set_header(r, "Sec-WebSocket-Version", "13");
        reply_refuse(r, status, "invalid_argument", "%s", defect);
    }
    return 0;
}

void socket_request(struct ingress *in, struct http_request *r) {
    struct error e;
    bool settled = http_request_header(r, "Authorization") != NULL ||
                   http_request_argument(r, "token") != NULL;
    if (ingress_phase(in) == PHASE_STOPPING) {
        reply_refuse(r, 503, "unavailable", "the gateway is stopping");
        return;
    }
    struct identity *who = topics_identify(in, r, &e);
    if (who == NULL && settled) {
        reply_error(r, &e);
        return;
    }
    struct client *c = xcalloc(1, sizeof *c);
    c->ingress = in;
    c->who = who;
    c->settled = settled;
    c->since_ms = uv_now(in->loop);
    memcpy(c->request, http_request_id(r), strlen(http_request_id(r)));
    DL_APPEND(in->clients, c);
    c->websocket =
        websocket_accept(in->websockets, r, who != NULL ? message_bytes(in) : STRANGER_BYTES, c);
    log_debug("socket opened", LOG_STR("request", c->request));
}

void socket_check(struct ingress *in) {
    const struct ingress_shared *shared = in->shared;
    uint64_t patience = (uint64_t)shared->config->limits.request_timeout_ms;
    struct client *c;
    struct error e;
    DL_FOREACH(in->clients, c) {
        if (c->who == NULL && uv_now(in->loop) - c->since_ms >= patience)
            end_unauthenticated(c, "no key was sent in time");
        else if (c->who != NULL && !access_still_valid(shared->access, c->who, &e))
            end_unauthenticated(c, e.message);
    }
}

void socket_release(struct ingress *in) {
    struct client *c;
    DL_FOREACH(in->clients, c) { /* first what was published a moment ago */
        for (struct feed *f = c->feeds; f != NULL; f = f->hh.next)
            make_ready(f);
        on_writable(c->websocket);
    }
    websocket_server_close(in->websockets, WEBSOCKET_GOING_AWAY, "the gateway is stopping");
}

struct websocket_server *socket_server_new(struct ingress *in) {
    static const struct websocket_handler handler = {on_message, on_writable, on_closed};
    const struct config *c = in->shared->config;
    return websocket_server_new(in->loop,
                                &(struct websocket_limits){
                                    .ping_ms = c->limits.heartbeat_ms,
                                    .message_time_ms = c->limits.request_timeout_ms,
                                },
                                &handler);
}
