/*
 * /admin/deadletters
 */
#include <stdlib.h>

#include "ingress/admin.h"
#include "ingress/hook_job.h"
#include "ingress/reply.h"
#include "store/deadletter_table.h"
#include "store/outbox_table.h"

#define LIST_MAX 1000

static void set_string(json_t *json, const char *name, const char *value) {
    if (value != NULL && value[0] != '\0')
        json_object_set_new(json, name, json_string(value));
}

static json_t *describe(const struct deadletter *d) {
    json_t *json = json_pack("{s:I, s:s, s:I, s:s}", "id", (json_int_t)d->id, "kind", d->kind,
                             "attempts", (json_int_t)d->attempts, "error", d->error);
    json_object_set_new(json, "created", admin_time(d->created_ms / 1000));
    json_object_set_new(json, "updated", admin_time(d->updated_ms / 1000));
    set_string(json, "hook", d->hook);
    set_string(json, "bundle_version", d->version);
    set_string(json, "cache", d->cache);
    set_string(json, "topic", d->topic);
    if (d->topic != NULL)
        json_object_set_new(json, "topic_sequence_number", json_integer((json_int_t)d->number));
    set_string(json, "webhook", d->webhook);
    set_string(json, "url", d->url);
    return json;
}

/* ---- the list ---- */

struct listing {
    json_t *array;
    int64_t last;
};

static void add(void *context, const struct deadletter *d) {
    struct listing *l = context;
    json_array_append_new(l->array, describe(d));
    l->last = d->id;
}

static bool read_number(const struct http_request *r, const char *name, int64_t most,
                        int64_t *number, struct error *e) {
    const char *text = http_request_argument(r, name);
    char *end;
    if (text == NULL)
        return true;
    long long n = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > most)
        return error_set(e, ERROR_INVALID, "%s must be a number of at most %lld", name,
                         (long long)most);
    *number = n;
    return true;
}

static bool check_kind(const char *kind, struct error *e) {
    return kind == NULL || strcmp(kind, DEADLETTER_SCRIPT) == 0 ||
           strcmp(kind, DEADLETTER_DELIVERY) == 0 ||
           error_set(e, ERROR_INVALID, "kind must be \"script\" or \"delivery\"");
}

static bool list(struct admin_request *r, struct error *e) {
    struct deadletter_filter f = {
        .kind = http_request_argument(r->request, "kind"),
        .hook = http_request_argument(r->request, "hook"),
        .cache = http_request_argument(r->request, "cache"),
        .webhook = http_request_argument(r->request, "webhook"),
        .limit = 100,
    };
    struct listing l = {.array = json_array()};
    struct database *db = mailbox_reader(r->ingress->mailbox, e);
    if (db == NULL || !check_kind(f.kind, e) ||
        !read_number(r->request, "after", INT64_MAX, &f.after, e) ||
        !read_number(r->request, "limit", LIST_MAX, &f.limit, e) ||
        !deadletter_table_list(db, &f, add, &l, e)) {
        json_decref(l.array);
        return false;
    }
    bool more = f.limit > 0 && (int64_t)json_array_size(l.array) == f.limit;
    admin_reply(r, 200,
                json_pack("{s:o, s:o}", "deadletters", l.array, "next",
                          more ? json_integer((json_int_t)l.last) : json_null()));
    return true;
}

/* ---- one ---- */

/* A copy, as rows do not outlive their statement. */
struct letter {
    struct deadletter d;
    bool found;
};

static char *copy(const char *text) {
    return text != NULL ? xstrdup(text) : NULL;
}

static void take(void *context, const struct deadletter *d) {
    struct letter *l = context;
    l->found = true;
    l->d = *d;
    l->d.kind = copy(d->kind);
    l->d.error = copy(d->error);
    l->d.traceback = copy(d->traceback);
    l->d.hook = copy(d->hook);
    l->d.version = copy(d->version);
    l->d.request = copy(d->request);
    l->d.cache = copy(d->cache);
    l->d.topic = copy(d->topic);
    l->d.webhook = copy(d->webhook);
    l->d.url = copy(d->url);
    l->d.publisher_id = copy(d->publisher_id);
    l->d.fingerprint = NULL;
    l->d.event = xstrndup(d->event != NULL ? d->event : "", d->length);
}

static void letter_clear(struct letter *l) {
    const char *const owned[] = {l->d.kind,    l->d.error,   l->d.traceback,    l->d.hook,
                                 l->d.version, l->d.request, l->d.cache,        l->d.topic,
                                 l->d.webhook, l->d.url,     l->d.publisher_id, l->d.event};
    for (size_t i = 0; i < COUNT_OF(owned); i++)
        free((char *)(uintptr_t)owned[i]);
}

static bool find(struct admin_request *r, struct letter *l, struct error *e) {
    struct database *db = mailbox_reader(r->ingress->mailbox, e);
    char *end;
    long long id = strtoll(r->names[0], &end, 10);
    *l = (struct letter){0};
    if (db == NULL)
        return false;
    if (*end == '\0' && id > 0 && !deadletter_table_get(db, id, take, l, e))
        return false;
    return l->found || error_set(e, ERROR_NOT_FOUND, "there is no dead letter of that number");
}

static json_t *pairs_object(const json_t *request, const char *name) {
    json_t *object = json_object(), *pair;
    size_t i;
    json_array_foreach(json_object_get(request, name), i, pair) {
        const char *key = json_string_value(json_array_get(pair, 0));
        if (key != NULL)
            json_object_set(object, key, json_array_get(pair, 1));
    }
    return object;
}

static bool show(struct admin_request *r, struct error *e) {
    struct letter l;
    if (!find(r, &l, e))
        return false;
    json_t *json = describe(&l.d);
    json_t *request = l.d.request != NULL ? json_loads(l.d.request, 0, NULL) : NULL;
    json_object_set_new(json, "traceback", json_string(l.d.traceback));
    json_object_set_new(json, "headers", pairs_object(request, "headers"));
    json_t *event = json_stringn(l.d.event, l.d.length);
    if (event != NULL) {
        json_object_set_new(json, "event", event);
    } else { /* an item's bytes */
        struct buffer text = {0};
        buffer_add_base64(&text, l.d.event, l.d.length);
        json_object_set_new(json, "event_base64", json_string(buffer_string(&text)));
        buffer_free(&text);
    }
    json_decref(request);
    letter_clear(&l);
    admin_reply(r, 200, json);
    return true;
}

/* ---- changing them: the answer comes with the commit ---- */

struct pending {
    struct http_request *request; /* NULL: it is gone */
    json_t *answer;               /* NULL: 204 */
    struct webhook_set *webhooks;
    uint64_t webhook; /* to be told that there is something for it; 0: none */
};

static void on_gone(struct http_request *request, void *data) {
    (void)request;
    ((struct pending *)data)->request = NULL;
}

static void on_done(void *context, const struct error *e) {
    struct pending *p = context;
    if (e == NULL && p->webhook != 0)
        webhook_set_enable(p->webhooks, p->webhook);
    if (p->request != NULL) {
        struct admin_request r = {.request = p->request};
        http_request_set_data(p->request, NULL, NULL);
        if (e != NULL)
            reply_error(p->request, e);
        else if (p->answer != NULL)
            admin_reply(&r, 200, json_incref(p->answer));
        else
            admin_reply_done(&r);
    }
    json_decref(p->answer);
    free(p);
}

static struct pending *pending_new(struct admin_request *r, json_t *answer) {
    struct pending *p = xcalloc(1, sizeof *p);
    p->request = r->request;
    p->answer = answer;
    http_request_set_data(r->request, p, on_gone);
    return p;
}

static bool submit(struct admin_request *r, struct pending *p, struct transaction *t,
                   struct error *e) {
    if (mailbox_submit(r->ingress->mailbox, t, e))
        return true;
    on_done(p, e);
    return true;
}

static bool drop(struct admin_request *r, struct error *e) {
    struct letter l;
    if (!find(r, &l, e))
        return false;
    struct pending *p = pending_new(r, NULL);
    struct transaction *t = transaction_new(on_done, p);
    deadletter_table_drop(t, l.d.id);
    letter_clear(&l);
    return submit(r, p, t, e);
}

static json_t *describe_publish(const struct publish *p) {
    json_t *json = json_pack("{s:s, s:s}", "cache", p->cache, "topic", p->topic);
    const struct item *item = p->item;
    if (item->kind == ITEM_TEXT) {
        json_object_set_new(json, "text", json_stringn(item->value, item->length));
    } else {
        struct buffer text = {0};
        buffer_add_base64(&text, item->value, item->length);
        json_object_set_new(json, "binary", json_string(buffer_string(&text)));
        buffer_free(&text);
    }
    return json;
}

/* Runs the script as it is now on the event as it was. */
static bool replay_script(struct admin_request *r, const struct letter *l, bool dry_run,
                          struct error *e) {
    struct ingress *in = r->ingress;
    struct hook *h = hook_table_find(in->hooks, l->d.hook);
    struct script_outcome outcome;
    struct error why;
    const char *traceback;
    if (h == NULL)
        return error_set(e, ERROR_PRECONDITION, "there is no script for the hook \"%s\" any more",
                         l->d.hook);
    if (!hook_job_try(in, h, l->d.request, l->d.event, l->d.length, &outcome, &traceback, &why))
        return error_set(e, ERROR_PRECONDITION, "the script failed again: %.400s", why.message);
    json_t *array = json_array();
    for (size_t i = 0; i < outcome.publish_count; i++)
        json_array_append_new(array, describe_publish(&outcome.publishes[i]));
    json_t *answer = json_pack("{s:o, s:b}", "publishes", array, "dry_run", dry_run);
    if (dry_run) {
        admin_reply(r, 200, answer);
        return true;
    }
    struct pending *p = pending_new(r, answer);
    struct transaction *t = transaction_new(on_done, p);
    deadletter_table_drop(t, l->d.id);
    if (!broker_add(in->shared->broker, outcome.publishes, outcome.publish_count, t, e)) {
        transaction_free(t);
        on_done(p, e);
        return true;
    }
    return submit(r, p, t, e);
}

/* Puts it back among what its webhook has to deliver. */
static bool replay_delivery(struct admin_request *r, const struct letter *l, bool dry_run,
                            struct error *e) {
    struct webhook_entry *w = control_get_webhook(r->control, l->d.cache, l->d.webhook, e);
    struct database *db = mailbox_reader(r->ingress->mailbox, e);
    if (w == NULL || db == NULL) {
        webhook_entry_unref(w);
        return false;
    }
    uint64_t id = w->id;
    webhook_entry_unref(w);
    json_t *answer =
        json_pack("{s:[], s:b, s:b}", "publishes", "dry_run", dry_run, "queued", !dry_run);
    if (dry_run) {
        admin_reply(r, 200, answer);
        return true;
    }
    struct pending *p = pending_new(r, answer);
    p->webhook = id;
    p->webhooks = r->ingress->shared->webhooks;
    struct transaction *t = transaction_new(on_done, p);
    const struct retry_row row = {
        .page = l->d.page,
        .error = l->d.error,
        .item = {l->d.number, l->d.item_kind, l->d.timestamp_ms, l->d.publisher_id, l->d.event,
                 l->d.length},
    };
    if (!outbox_table_revive(t, db, l->d.cache, l->d.webhook, l->d.topic, &row, e)) {
        transaction_free(t);
        on_done(p, e);
        return true;
    }
    deadletter_table_drop(t, l->d.id);
    return submit(r, p, t, e);
}

static bool replay(struct admin_request *r, struct error *e) {
    struct letter l = {0};
    const json_t *dry_run = json_object_get(r->body, "dry_run");
    if (dry_run != NULL && !json_is_boolean(dry_run))
        return error_set(e, ERROR_INVALID, "dry_run must be true or false");
    if (!find(r, &l, e))
        return false;
    bool good = l.d.hook != NULL ? replay_script(r, &l, json_is_true(dry_run), e)
                                 : replay_delivery(r, &l, json_is_true(dry_run), e);
    letter_clear(&l);
    return good;
}

static const char *const members[] = {"dry_run", NULL};

const struct admin_route admin_deadletters[] = {
    {"GET", "/admin/deadletters", NULL, list},
    {"GET", "/admin/deadletters/*", NULL, show},
    {"DELETE", "/admin/deadletters/*", NULL, drop},
    {"POST", "/admin/deadletters/*/replay", members, replay},
    {0},
};
