#include "ingress/hook_table.h"

#include <stdlib.h>

#include "ingress/limits.h"

static bool add_signer(struct hook *h, const char *secret, int64_t until_ms, struct error *e) {
    struct signer *signer = signer_new(secret, e);
    if (signer == NULL)
        return false;
    h->signers = xrealloc(h->signers, (h->signer_count + 1) * sizeof *h->signers);
    h->signers[h->signer_count++] = (struct hook_signer){signer, until_ms};
    return true;
}

static void drop_signers(struct hook *h) {
    for (size_t i = 0; i < h->signer_count; i++)
        signer_free(h->signers[i].signer);
    free(h->signers);
    h->signers = NULL;
    h->signer_count = 0;
}

static bool add_own_signers(struct hook *h, const struct config_hook *own, struct error *e) {
    for (size_t i = 0; own != NULL && i < own->secret_count; i++) {
        if (!add_signer(h, own->secrets[i], 0, e))
            return false;
    }
    h->follows_webhooks = h->signer_count == 0;
    return true;
}

/* Gives the webhook's secrets to the hook it points at, if that has none of its own. */
static bool follow(const struct hook_table *t, const struct webhook_entry *w, struct error *e) {
    struct hook *h = NULL;
    if (w->own_hook == NULL)
        return true;
    HASH_FIND_STR(t->hooks, w->own_hook, h);
    if (h == NULL || !h->follows_webhooks)
        return true;
    return add_signer(h, w->secret, 0, e) &&
           (w->previous_secret == NULL ||
            add_signer(h, w->previous_secret, w->previous_until_ms, e));
}

static bool follow_webhooks(struct hook_table *t, struct error *e) {
    struct webhook_entry **list;
    bool good = true;
    for (struct hook *h = t->hooks; h != NULL; h = h->hh.next) {
        if (h->follows_webhooks)
            drop_signers(h);
    }
    size_t count =
        webhook_set_list(t->ingress->shared->webhooks, NULL, &list, &t->webhooks_version);
    for (size_t i = 0; i < count && good; i++)
        good = follow(t, list[i], e);
    webhook_list_free(list, count);
    return good;
}

struct hook *hook_table_find(struct hook_table *t, const char *name) {
    struct hook *h = NULL;
    struct error e;
    if (webhook_set_version(t->ingress->shared->webhooks) != t->webhooks_version &&
        !follow_webhooks(t, &e))
        log_error("the secrets of webhooks cannot be used", LOG_STR("error", e.message));
    HASH_FIND_STR(t->hooks, name, h);
    return h;
}

static void register_metrics(struct hook *h, struct metrics *m) {
    struct buffer labels = {0};
    for (size_t i = 0; i < HOOK_OUTCOMES; i++) {
        buffer_clear(&labels);
        metrics_label(&labels, "hook", h->name);
        metrics_label(&labels, "outcome", hook_outcomes[i].word);
        h->outcomes[i] = metrics_counter(m, "hookmoon_hook_requests_total",
                                         "Requests to hooks, by outcome.", labels.data);
    }
    buffer_free(&labels);
}

static bool add_hook(struct hook_table *t, struct hook_bundle *b, const char *part,
                     struct error *e) {
    const struct ingress_shared *shared = t->ingress->shared;
    const struct config *c = shared->config;
    struct hook *h = xcalloc(1, sizeof *h);
    h->name =
        part[0] == '\0' ? xstrdup(b->bundle->name) : xasprintf("%s/%s", b->bundle->name, part);
    h->part = part;
    h->bundle = b;
    HASH_ADD_KEYPTR(hh, t->hooks, h->name, strlen(h->name), h);
    const struct config_hook *own = config_find_hook(c, h->name);
    struct config_hook defaults;
    config_hook_init(&defaults);
    const struct config_hook *settings = own != NULL ? own : &defaults;
    h->max_age_ms = settings->max_age_ms;
    h->max_future_ms = settings->max_future_ms;
    h->body_bytes = settings->body_bytes > 0 ? settings->body_bytes : c->limits.body_bytes;
    h->received = settings->received;
    h->retries = settings->retries;
    h->rate = own != NULL ? shared->rates[own - c->hooks] : NULL;
    register_metrics(h, shared->metrics);
    return add_own_signers(h, own, e);
}

static struct hook_bundle *add_bundle(struct hook_table *t, const struct bundle *bundle) {
    struct metrics *m = t->ingress->shared->metrics;
    struct hook_bundle *b = xcalloc(1, sizeof *b);
    struct buffer labels = {0};
    metrics_label(&labels, "bundle", bundle->name);
    b->bundle = bundle;
    b->duration = metrics_histogram(m, "hookmoon_script_seconds",
                                    "Time that scripts took for an event.", labels.data);
    b->memory =
        metrics_gauge(m, "hookmoon_script_memory_bytes",
                      "Memory of a bundle's Lua states, all workers together.", labels.data);
    buffer_free(&labels);
    b->next = t->bundles;
    t->bundles = b;
    return b;
}

struct hook_table *hook_table_new(struct ingress *in, struct error *e) {
    struct hook_table *t = xcalloc(1, sizeof *t);
    const struct bundle_list *bundles = in->shared->bundles;
    t->ingress = in;
    for (size_t i = 0; i < bundles->count; i++) {
        struct hook_bundle *b = add_bundle(t, bundles->list[i]);
        bool good = add_hook(t, b, "", e);
        for (size_t j = 0; good && j < b->bundle->hook_count; j++)
            good = add_hook(t, b, b->bundle->hooks[j], e);
        if (!good) {
            hook_table_free(t);
            return NULL;
        }
    }
    if (!follow_webhooks(t, e)) {
        hook_table_free(t);
        return NULL;
    }
    return t;
}

void hook_table_free(struct hook_table *t) {
    if (t == NULL)
        return;
    struct hook *h, *next_hook;
    HASH_ITER(hh, t->hooks, h, next_hook) {
        HASH_DEL(t->hooks, h);
        drop_signers(h);
        free(h->name);
        free(h);
    }
    for (struct hook_bundle *b = t->bundles, *next; b != NULL; b = next) {
        next = b->next;
        script_free(b->script);
        free(b);
    }
    free(t);
}

struct script *hook_script(struct hook_table *t, struct hook_bundle *b, struct error *e) {
    if (b->script == NULL) {
        struct script_limits limits = limits_for_script(t->ingress->shared->config);
        b->script = script_new(b->bundle, &limits, e);
    }
    return b->script;
}
