/*
 * /topics/{cache}/{topic}: the checks that publishing and subscribing share, and publishing.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "ingress/ingress_internal.h"
#include "ingress/query.h"
#include "ingress/reply.h"

static const char prefix[] = "/topics/";

/* Browsers read none of our answers, errors included, without these. */
static void allow_origin(struct http_request *r) {
    http_request_set_header(r, "Access-Control-Allow-Origin", "*");
    http_request_set_header(r, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
}

static void answer_preflight(struct http_request *r) {
    http_request_set_header(r, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    http_request_set_header(r, "Access-Control-Allow-Headers",
                            "authorization, content-type, last-event-id, cache-control");
    http_request_set_header(r, "Access-Control-Max-Age", "86400");
    http_request_reply(r, 204, NULL, NULL, 0);
}

size_t topics_headers(struct ingress *in, struct http_request *r) {
    allow_origin(r);
    if (strcmp(http_request_method(r), "OPTIONS") == 0)
        answer_preflight(r);
    return strcmp(http_request_method(r), "POST") == 0 ? in->shared->config->limits.message_bytes
                                                       : 0;
}

static bool check(struct ingress *in, struct http_request *r, enum config_role role,
                  const char *cache, const char *topic, const char **id, struct error *e) {
    const char *header = http_request_header(r, "Authorization");
    const char *argument = http_request_argument(r, "token");
    if (header != NULL && argument != NULL)
        return error_set(e, ERROR_INVALID,
                         "the key is given twice: in Authorization and in ?token=; send one");
    if (!access_check(in->shared->access, header != NULL ? header : argument, role, cache, topic,
                      id, e))
        return false;
    const char *defect = broker_name_defect(cache, strlen(cache));
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the cache name %s", defect);
    defect = broker_name_defect(topic, strlen(topic));
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the topic name %s", defect);
    return true;
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
    bool good = broker_publish(in->shared->broker, &(struct publish){cache, topic, item}, 1, e);
    item_unref(item);
    return good;
}

static void publish_request(struct ingress *in, struct http_request *r, const char *cache,
                            const char *topic) {
    struct error e = {0};
    const char *id = "";
    if (check(in, r, CONFIG_ROLE_PUBLISH, cache, topic, &id, &e) &&
        publish(in, r, cache, topic, id, &e)) {
        metric_add(in->publish_ok, 1);
        log_debug("published", LOG_STR("cache", cache), LOG_STR("topic", topic),
                  LOG_STR("request", http_request_id(r)));
        http_request_reply(r, 204, NULL, NULL, 0);
        return;
    }
    metric_add(in->publish_refused, 1);
    log_debug("publish refused", LOG_STR("why", e.message), LOG_STR("request", http_request_id(r)));
    reply_error(r, &e);
}

void topics_request(struct ingress *in, struct http_request *r) {
    char *cache, *topic;
    const char *defect = query_split_path(http_request_path(r) + sizeof prefix - 1, &cache, &topic);
    if (defect != NULL) {
        reply_refuse(r, 400, "invalid_argument", "%s", defect);
        return;
    }
    struct error e;
    const char *id;
    if (strcmp(http_request_method(r), "POST") == 0)
        publish_request(in, r, cache, topic);
    else if (check(in, r, CONFIG_ROLE_SUBSCRIBE, cache, topic, &id, &e))
        subscribe_request(in, r, cache, topic);
    else
        reply_error(r, &e);
    free(cache);
    free(topic);
}
