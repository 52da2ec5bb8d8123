/*
 * /admin/caches/{cache}/webhooks
 */
#include "ingress/admin.h"

static json_t *describe(const struct webhook_entry *w) {
    return json_pack("{s:s, s:s, s:s, s:s, s:b}", "cache", w->cache, "name", w->name, "topic",
                     w->topic, "url", w->url, "configured", w->configured);
}

static bool list(struct admin_request *r, struct error *e) {
    struct webhook_entry **webhooks;
    size_t count;
    if (!control_list_webhooks(r->control, r->names[0], &webhooks, &count, e))
        return false;
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, describe(webhooks[i]));
    webhook_list_free(webhooks, count);
    admin_reply(r, 200, json_pack("{s:o}", "webhooks", array));
    return true;
}

static bool put(struct admin_request *r, struct error *e) {
    const char *topic, *url;
    if (!members_string(r->body, "topic", true, &topic, e) ||
        !members_string(r->body, "url", true, &url, e))
        return false;
    struct webhook_entry *w =
        control_put_webhook(r->control, r->names[0], r->names[1], topic, url, e);
    if (w == NULL)
        return false;
    json_t *answer = describe(w);
    json_object_set_new(answer, "secret", json_string(w->secret));
    webhook_entry_unref(w);
    admin_reply(r, 200, answer);
    return true;
}

static bool delete (struct admin_request *r, struct error *e) {
    if (!control_delete_webhook(r->control, r->names[0], r->names[1], e))
        return false;
    admin_reply_done(r);
    return true;
}

static bool get_secret(struct admin_request *r, struct error *e) {
    struct webhook_entry *w = control_get_webhook(r->control, r->names[0], r->names[1], e);
    if (w == NULL)
        return false;
    json_t *answer = json_pack("{s:s}", "secret", w->secret);
    webhook_entry_unref(w);
    admin_reply(r, 200, answer);
    return true;
}

static bool rotate(struct admin_request *r, struct error *e) {
    struct webhook_entry *w = control_rotate_webhook(r->control, r->names[0], r->names[1], e);
    if (w == NULL)
        return false;
    json_t *answer = json_pack("{s:s, s:o}", "secret", w->secret, "previous_valid_until",
                               admin_time(w->previous_until_ms / 1000));
    webhook_entry_unref(w);
    admin_reply(r, 200, answer);
    return true;
}

static const char *const members[] = {"topic", "url", NULL};

const struct admin_route admin_webhooks[] = {
    {"GET", "/admin/caches/*/webhooks", NULL, list},
    {"PUT", "/admin/caches/*/webhooks/*", members, put},
    {"DELETE", "/admin/caches/*/webhooks/*", NULL, delete},
    {"GET", "/admin/caches/*/webhooks/*/secret", NULL, get_secret},
    {"POST", "/admin/caches/*/webhooks/*/rotate", NULL, rotate},
    {0},
};
