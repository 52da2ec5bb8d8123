/*
 * /admin/caches/{cache}/webhooks
 */
#include "ingress/admin.h"

static const char *status_word(const struct webhook_status *s) {
    return s->disabled                ? "disabled"
           : s->paused                ? "paused"
           : s->failing_since_ms != 0 ? "failing"
                                      : "ok";
}

static json_t *describe(struct admin_request *r, const struct webhook_entry *w) {
    struct webhook_status s;
    control_webhook_status(r->control, w, &s);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I}", "cache", w->cache, "name",
                             w->name, "topic", w->topic, "url", w->url, "configured", w->configured,
                             "status", status_word(&s), "pending", (json_int_t)s.pending,
                             "retrying", (json_int_t)s.retrying);
    json_object_set_new(json, "order", json_string(w->policy.ordered ? "topic" : "none"));
    json_object_set_new(json, "delivery", json_string(w->policy.once ? "once" : "at_least_once"));
    json_object_set_new(json, "concurrency",
                        w->policy.concurrency > 0 ? json_integer(w->policy.concurrency)
                                                  : json_null());
    json_object_set_new(json, "rate", json_real(w->policy.rate));
    json_object_set_new(json, "failing_since", admin_time(s.failing_since_ms / 1000));
    json_object_set_new(json, "last_error",
                        s.error[0] != '\0' ? json_string(s.error) : json_null());
    return json;
}

static bool list(struct admin_request *r, struct error *e) {
    struct webhook_entry **webhooks;
    size_t count;
    if (!control_list_webhooks(r->control, r->names[0], &webhooks, &count, e))
        return false;
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, describe(r, webhooks[i]));
    webhook_list_free(webhooks, count);
    admin_reply(r, 200, json_pack("{s:o}", "webhooks", array));
    return true;
}

static bool put(struct admin_request *r, struct error *e) {
    const char *topic, *url;
    if (!members_string(r->body, "topic", true, &topic, e) ||
        !members_string(r->body, "url", true, &url, e))
        return false;
    struct webhook_policy policy;
    webhook_policy_init(&policy);
    if (!webhook_policy_from_json(&policy, r->body, e))
        return false;
    struct webhook_entry *w =
        control_put_webhook(r->control, r->names[0], r->names[1], topic, url, &policy, e);
    if (w == NULL)
        return false;
    json_t *answer = describe(r, w);
    json_object_set_new(answer, "secret", json_string(w->secret));
    webhook_entry_unref(w);
    admin_reply(r, 200, answer);
    return true;
}

static bool get(struct admin_request *r, struct error *e) {
    struct webhook_entry *w = control_get_webhook(r->control, r->names[0], r->names[1], e);
    if (w == NULL)
        return false;
    json_t *answer = describe(r, w);
    webhook_entry_unref(w);
    admin_reply(r, 200, answer);
    return true;
}

static bool enable(struct admin_request *r, struct error *e) {
    if (!control_enable_webhook(r->control, r->names[0], r->names[1], e))
        return false;
    admin_reply_done(r);
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

static const char *const members[] = {"topic",       "url",  "order", "delivery",
                                      "concurrency", "rate", NULL};

const struct admin_route admin_webhooks[] = {
    {"GET", "/admin/caches/*/webhooks", NULL, list},
    {"GET", "/admin/caches/*/webhooks/*", NULL, get},
    {"PUT", "/admin/caches/*/webhooks/*", members, put},
    {"POST", "/admin/caches/*/webhooks/*/enable", NULL, enable},
    {"DELETE", "/admin/caches/*/webhooks/*", NULL, delete},
    {"GET", "/admin/caches/*/webhooks/*/secret", NULL, get_secret},
    {"POST", "/admin/caches/*/webhooks/*/rotate", NULL, rotate},
    {0},
};
