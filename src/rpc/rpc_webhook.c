/*
 * webhook.Webhook.
 */
#include <stdlib.h>

#include "control.pb-c.h"
#include "rpc/rpc_internal.h"

#define URL_BYTES 4096

struct names {
    char cache[NAME_SIZE], webhook[NAME_SIZE];
};

static bool read_names(struct names *n, const ProtobufCBinaryData *cache,
                       const ProtobufCBinaryData *webhook, struct error *e) {
    return call_name(n->cache, cache, "cache", e) && call_name(n->webhook, webhook, "webhook", e);
}

static bool read_id(struct names *n, const Hookmoon__WebhookId *id, struct error *e) {
    return id != NULL ? read_names(n, &id->cache_name, &id->webhook_name, e)
                      : error_set(e, ERROR_INVALID, "the webhook has no id");
}

/* Answers with the secret; takes the reference. */
static void reply_secret(struct call *c, struct webhook_entry *w) {
    Hookmoon__SecretResponse answer = HOOKMOON__SECRET_RESPONSE__INIT;
    answer.secret_string = call_bytes(w->secret);
    call_reply(c, &answer.base);
    webhook_entry_unref(w);
}

static bool put_webhook(struct call *c, const Hookmoon__Webhook *given, struct error *e) {
    struct names n;
    char topic[NAME_SIZE];
    const Hookmoon__WebhookDestination *to = given != NULL ? given->destination : NULL;
    if (!read_id(&n, given != NULL ? given->webhook_id : NULL, e) ||
        !call_name(topic, &given->topic_name, "topic", e))
        return false;
    if (to == NULL || to->kind_case != HOOKMOON__WEBHOOK_DESTINATION__KIND_POST_URL)
        return error_set(e, ERROR_INVALID, "the webhook has no destination");
    char *url = call_text(&to->post_url, "URL", URL_BYTES, e);
    if (url == NULL)
        return false;
    struct webhook_entry *w =
        control_put_webhook(c->rpc->shared->control, n.cache, n.webhook, topic, url, NULL, e);
    free(url);
    if (w == NULL)
        return false;
    reply_secret(c, w);
    return true;
}

static bool put(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    Hookmoon__PutWebhookRequest *m =
        call_unpack(&hookmoon__put_webhook_request__descriptor, message, length, e);
    bool good = m != NULL && put_webhook(c, m->webhook, e);
    call_drop(m);
    return good;
}

static bool delete (struct call *c, const uint8_t *message, size_t length, struct error *e) {
    struct names n;
    Hookmoon__WebhookIdRequest *m =
        call_unpack(&hookmoon__webhook_id_request__descriptor, message, length, e);
    bool good = m != NULL && read_id(&n, m->webhook_id, e) &&
                control_delete_webhook(c->rpc->shared->control, n.cache, n.webhook, e);
    call_drop(m);
    if (good)
        call_reply(c, NULL);
    return good;
}

static bool rotate(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    struct names n;
    Hookmoon__WebhookIdRequest *m =
        call_unpack(&hookmoon__webhook_id_request__descriptor, message, length, e);
    struct webhook_entry *w = NULL;
    if (m != NULL && read_id(&n, m->webhook_id, e))
        w = control_rotate_webhook(c->rpc->shared->control, n.cache, n.webhook, e);
    call_drop(m);
    if (w == NULL)
        return false;
    reply_secret(c, w);
    return true;
}

static bool get_secret(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    struct names n;
    Hookmoon__WebhookSecret *m =
        call_unpack(&hookmoon__webhook_secret__descriptor, message, length, e);
    struct webhook_entry *w = NULL;
    if (m != NULL && read_names(&n, &m->cache_name, &m->webhook_name, e))
        w = control_get_webhook(c->rpc->shared->control, n.cache, n.webhook, e);
    call_drop(m);
    if (w == NULL)
        return false;
    Hookmoon__WebhookSecret answer = HOOKMOON__WEBHOOK_SECRET__INIT;
    answer.cache_name = call_bytes(w->cache);
    answer.webhook_name = call_bytes(w->name);
    answer.secret_string = call_bytes(w->secret);
    call_reply(c, &answer.base);
    webhook_entry_unref(w);
    return true;
}

/* A webhook as protobuf-c wants it. */
struct webhook_message {
    Hookmoon__Webhook webhook;
    Hookmoon__WebhookId id;
    Hookmoon__WebhookDestination destination;
};

static void fill(struct webhook_message *m, const struct webhook_entry *w) {
    hookmoon__webhook__init(&m->webhook);
    hookmoon__webhook_id__init(&m->id);
    hookmoon__webhook_destination__init(&m->destination);
    m->id.cache_name = call_bytes(w->cache);
    m->id.webhook_name = call_bytes(w->name);
    m->destination.kind_case = HOOKMOON__WEBHOOK_DESTINATION__KIND_POST_URL;
    m->destination.post_url = call_bytes(w->url);
    m->webhook.webhook_id = &m->id;
    m->webhook.topic_name = call_bytes(w->topic);
    m->webhook.destination = &m->destination;
}

static void reply_list(struct call *c, struct webhook_entry **webhooks, size_t count) {
    struct webhook_message *messages = xcalloc(count + 1, sizeof *messages);
    Hookmoon__Webhook **pointers = xcalloc(count + 1, sizeof(Hookmoon__Webhook *));
    for (size_t i = 0; i < count; i++) {
        fill(&messages[i], webhooks[i]);
        pointers[i] = &messages[i].webhook;
    }
    Hookmoon__ListWebhooksResponse answer = HOOKMOON__LIST_WEBHOOKS_RESPONSE__INIT;
    answer.n_webhook = count;
    answer.webhook = pointers;
    call_reply(c, &answer.base);
    free(pointers);
    free(messages);
}

static bool list(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    char cache[NAME_SIZE];
    struct webhook_entry **webhooks;
    size_t count;
    Hookmoon__ListWebhooksRequest *m =
        call_unpack(&hookmoon__list_webhooks_request__descriptor, message, length, e);
    bool good = m != NULL && call_name(cache, &m->cache_name, "cache", e) &&
                control_list_webhooks(c->rpc->shared->control, cache, &webhooks, &count, e);
    call_drop(m);
    if (!good)
        return false;
    reply_list(c, webhooks, count);
    webhook_list_free(webhooks, count);
    return true;
}

const struct method webhook_methods[] = {
    {"/webhook.Webhook/PutWebhook", "PutWebhook", METHOD_ADMIN, false, put},
    {"/webhook.Webhook/DeleteWebhook", "DeleteWebhook", METHOD_ADMIN, false, delete},
    {"/webhook.Webhook/ListWebhooks", "ListWebhooks", METHOD_ADMIN, false, list},
    {"/webhook.Webhook/GetWebhookSecret", "GetWebhookSecret", METHOD_ADMIN, false, get_secret},
    {"/webhook.Webhook/RotateWebhookSecret", "RotateWebhookSecret", METHOD_ADMIN, false, rotate},
    {0},
};
