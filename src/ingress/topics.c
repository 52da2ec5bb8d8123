/*
 * /topics/{cache}/{topic}: the checks that publishing and subscribing share, and publishing.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "ingress/cors.h"
#include "ingress/ingress_internal.h"
#include "ingress/query.h"
#include "ingress/reply.h"

static const char prefix[] = "/topics/";

size_t topics_headers(struct ingress *in, struct http_request *r) {
    const struct config *c = in->shared->config;
    if (strcmp(http_request_method(r), "OPTIONS") == 0) {
        cors_preflight(c, r, "GET, POST, OPTIONS",
                       "authorization, content-type, last-event-id, cache-control");
        return 0;
    }
    if (cors_refused(c, r))
        return 0;
    cors_headers(c, r);
    return strcmp(http_request_method(r), "POST") == 0 ? c->limits.message_bytes : 0;
}

struct identity *topics_identify(struct ingress *in, const struct http_request *r,
                                 struct error *e) {
    const char *header = http_request_header(r, "Authorization");
    const char *argument = http_request_argument(r, "token");
    if (header == NULL || argument == NULL)
        return access_identify(in->shared->access, header != NULL ? header : argument, e);
    error_set(e, ERROR_INVALID,
              "the key is given twice: in Authorization and in ?token=; send one");
    return NULL;
}

/* Who asks, if that may do `role` there; the caller unrefs. */
static struct identity *check(struct ingress *in, struct http_request *r, enum role role,
                              const char *cache, const char *topic, struct error *e) {
    struct identity *who = topics_identify(in, r, e);
    if (who == NULL)
        return NULL;
    const char *cache_defect = broker_name_defect(cache, strlen(cache));
    const char *topic_defect = broker_name_defect(topic, strlen(topic));
    bool good = identity_may(who, role, cache, topic, e);
    if (good && cache_defect != NULL)
        good = error_set(e, ERROR_INVALID, "the cache name %s", cache_defect);
    else if (good && topic_defect != NULL)
        good = error_set(e, ERROR_INVALID, "the topic name %s", topic_defect);
    if (good)
        return who;
    identity_unref(who);
    return NULL;
}

/* A publish that waits for its commit; the client may be gone before. */
struct pending {
    struct ingress *ingress;
    struct http_request *request; /* NULL: it is gone */
};

static void on_gone(struct http_request *r, void *data) {
    (void)r;
    ((struct pending *)data)->request = NULL;
}

static void answer(struct ingress *in, struct http_request *r, const struct error *e) {
    metric_add(e == NULL ? in->publish_ok : in->publish_refused, 1);
    log_debug(e == NULL ? "published" : "publish refused",
              LOG_STR("why", e != NULL ? e->message : ""), LOG_STR("request", http_request_id(r)));
    if (e == NULL)
        http_request_reply(r, 204, NULL, NULL, 0);
    else
        reply_error(r, e);
}

static void on_published(void *context, const struct error *e) {
    struct pending *p = context;
    if (p->request != NULL) {
        http_request_set_data(p->request, NULL, NULL);
        answer(p->ingress, p->request, e);
    }
    free(p);
}

static bool publish(struct ingress *in, struct http_request *r, const char *cache,
                    const char *topic, const char *id, struct error *e) {
    size_t length;
    const char *value = http_request_body(r, &length);
    const char *type = http_request_header(r, "Content-Type");
    bool binary = type != NULL && strncasecmp(type, "application/octet-stream", 24) == 0;
    if (!binary && !utf8_valid(value, length))
        return error_set(e, ERROR_INVALID,
                         "the text is not UTF-8; send bytes as application/octet-stream");
    if (ingress_phase(in) != PHASE_RUNNING)
        return error_set(e, ERROR_UNAVAILABLE, "the gateway is stopping");
    struct item *item =
        item_new(binary ? ITEM_BINARY : ITEM_TEXT, value, length, id, http_request_id(r));
    struct pending *p = xcalloc(1, sizeof *p);
    p->ingress = in;
    p->request = r;
    http_request_set_data(r, p, on_gone);
    http_request_answers_soon(r);
    bool good =
        broker_publish(in->mailbox, &(struct publish){cache, topic, item}, 1, on_published, p, e);
    item_unref(item);
    if (!good) {
        http_request_set_data(r, NULL, NULL);
        free(p);
    }
    return good;
}

static void publish_request(struct ingress *in, struct http_request *r, const char *cache,
                            const char *topic) {
    struct error e = {0};
    struct identity *who = check(in, r, ROLE_PUBLISH, cache, topic, &e);
    if (who == NULL || !publish(in, r, cache, topic, who->id, &e))
        answer(in, r, &e);
    identity_unref(who);
}

void topics_request(struct ingress *in, struct http_request *r) {
    char *cache, *topic;
    const char *defect = query_split_path(http_request_path(r) + sizeof prefix - 1, &cache, &topic);
    if (defect != NULL) {
        reply_refuse(r, 400, "invalid_argument", "%s", defect);
        return;
    }
    struct error e;
    struct identity *who;
    if (strcmp(http_request_method(r), "POST") == 0)
        publish_request(in, r, cache, topic);
    else if ((who = check(in, r, ROLE_SUBSCRIBE, cache, topic, &e)) != NULL)
        subscribe_request(in, r, cache, topic, who);
    else
        reply_error(r, &e);
    free(cache);
    free(topic);
}
