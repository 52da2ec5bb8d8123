/*
 * cache_client.pubsub.Pubsub and cache_client.Ping.
 */
#include "base/utf8.h"
#include "pubsub.pb-c.h"
#include "rpc/rpc_internal.h"

static struct item *make_item(const struct call *c, const Hookmoon__TopicValue *value,
                              struct error *e) {
    bool is_text = value != NULL && value->kind_case == HOOKMOON__TOPIC_VALUE__KIND_TEXT;
    if (!is_text && (value == NULL || value->kind_case != HOOKMOON__TOPIC_VALUE__KIND_BINARY)) {
        error_set(e, ERROR_INVALID, "the message has no value");
        return NULL;
    }
    const ProtobufCBinaryData *bytes = is_text ? &value->text : &value->binary;
    if (is_text && !utf8_valid((const char *)bytes->data, bytes->len)) {
        error_set(e, ERROR_INVALID, "the text is not UTF-8; publish bytes as binary");
        return NULL;
    }
    return item_new(is_text ? ITEM_TEXT : ITEM_BINARY, bytes->data, bytes->len, c->identity->id,
                    c->id);
}

/* A publish that waits for its commit; the call may be gone before. */
static void on_published(void *context, const struct error *e) {
    struct call_wait *wait = context;
    struct call *c = call_wait_end(wait);
    if (c != NULL && e == NULL)
        call_reply(c, NULL);
    else if (c != NULL)
        call_fail(c, e);
}

static bool publish_item(struct call *c, const char *cache, const char *topic, struct item *item,
                         struct error *e) {
    const struct ingress_shared *shared = c->rpc->shared;
    if (shared_phase(shared) != PHASE_RUNNING)
        return error_set(e, ERROR_UNAVAILABLE, "the gateway is stopping");
    /* Momento's SDKs know this limit by the words. */
    if (item->length > shared->config->limits.message_bytes)
        return error_set(e, ERROR_TOO_LARGE,
                         "request limit exceeded: the value has %zu bytes, %zu are allowed",
                         item->length, shared->config->limits.message_bytes);
    struct call_wait *wait = call_wait_begin(c);
    if (broker_publish(c->rpc->mailbox, &(struct publish){cache, topic, item}, 1, on_published,
                       wait, e))
        return true;
    call_wait_end(wait);
    return false;
}

static bool publish(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    char cache[NAME_SIZE], topic[NAME_SIZE];
    Hookmoon__PublishRequest *m =
        call_unpack(&hookmoon__publish_request__descriptor, message, length, e);
    struct item *item = NULL;
    bool good = m != NULL && call_name(cache, &m->cache_name, "cache", e) &&
                call_name(topic, &m->topic, "topic", e) &&
                identity_may(c->identity, ROLE_PUBLISH, cache, topic, e) &&
                (item = make_item(c, m->value, e)) != NULL;
    if (good)
        log_debug("publishing", LOG_STR("cache", cache), LOG_STR("topic", topic),
                  LOG_STR("request", c->id));
    good = good && publish_item(c, cache, topic, item, e);
    item_unref(item);
    call_drop(m);
    return good;
}

static bool subscribe(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    char cache[NAME_SIZE], topic[NAME_SIZE];
    Hookmoon__SubscriptionRequest *m =
        call_unpack(&hookmoon__subscription_request__descriptor, message, length, e);
    bool good = m != NULL && call_name(cache, &m->cache_name, "cache", e) &&
                call_name(topic, &m->topic, "topic", e) &&
                identity_may(c->identity, ROLE_SUBSCRIBE, cache, topic, e);
    if (good && shared_phase(c->rpc->shared) == PHASE_STOPPING)
        c->transport->hang_up(c);
    else if (good)
        good = watch_open(
            c, cache, topic,
            (struct resume){.page = m->sequence_page, .number = m->resume_at_topic_sequence_number},
            e);
    call_drop(m);
    return good;
}

static bool ping(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    (void)message, (void)length, (void)e;
    call_reply(c, NULL);
    return true;
}

const struct method pubsub_methods[] = {
    {"/cache_client.pubsub.Pubsub/Publish", "Publish", METHOD_KEY, true, publish},
    {"/cache_client.pubsub.Pubsub/Subscribe", "Subscribe", METHOD_KEY, false, subscribe},
    {"/cache_client.Ping/Ping", "Ping", METHOD_ANYONE, false, ping},
    {0},
};
