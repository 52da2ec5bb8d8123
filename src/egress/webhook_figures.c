/*
 * What is told of a webhook: metrics, and the log.
 */
#include "egress/webhook_internal.h"

/* Webhooks come and go; beyond so many names their figures are counted together. */
#define FIGURES_MAX 1000

/* ---- the log ---- */

bool webhook_quiet_add(struct quiet *q, uint64_t count) {
    uint64_t second = clock_mono_ns() / 1000000000u;
    q->since += count;
    if (second == q->logged_second)
        return false;
    q->logged_second = second;
    return true;
}

void webhook_log_losses(struct webhook *w, const char *why) {
    log_warn("webhook items dropped", LOG_STR("webhook", w->figures->label),
             LOG_INT("items", w->losses.since), LOG_STR("why", why));
    w->losses.since = 0;
}

void webhook_log_failure(struct webhook *w, const struct item *item, const char *why) {
    if (!webhook_quiet_add(&w->failures, 1))
        return;
    log_warn("webhook delivery failed", LOG_STR("webhook", w->figures->label),
             LOG_STR("url", w->place), LOG_STR("why", why),
             LOG_INT("topic_sequence_number", item->number), LOG_STR("request", item->request_id),
             LOG_INT("not_logged", w->failures.since - 1));
    w->failures.since = 0;
}

/* ---- figures ---- */

static struct figures *new_figures(struct webhook_sender *s, const char *label) {
    struct metrics *m = s->options.metrics;
    struct figures *f = xcalloc(1, sizeof *f);
    struct buffer labels = {0};
    f->label = xstrdup(label);
    HASH_ADD_KEYPTR(hh, s->figures, f->label, strlen(f->label), f);
    metrics_label(&labels, "webhook", f->label);
    f->dropped = metrics_counter(m, "hookmoon_webhook_dropped_total",
                                 "Items that were never sent to a webhook.", labels.data);
    f->queued =
        metrics_gauge(m, "hookmoon_webhook_queue", "Items that wait for a webhook.", labels.data);
    f->given_up = metrics_counter(m, "hookmoon_webhook_given_up_total",
                                  "Deliveries that became dead letters.", labels.data);
    f->disabled = metrics_gauge(m, "hookmoon_webhook_disabled",
                                "1 for a webhook that was disabled.", labels.data);
    f->duration = metrics_histogram(m, "hookmoon_webhook_delivery_seconds",
                                    "Time that deliveries took.", labels.data);
    size_t length = labels.length;
    for (size_t i = 0; i < DELIVERY_OUTCOMES; i++) {
        labels.length = length;
        metrics_label(&labels, "outcome", delivery_words[i]);
        f->outcomes[i] = metrics_counter(m, "hookmoon_webhook_deliveries_total",
                                         "Deliveries to webhooks, by outcome.", labels.data);
    }
    buffer_free(&labels);
    return f;
}

struct figures *webhook_find_figures(struct webhook_sender *s, const struct webhook_entry *entry) {
    char *label = HASH_COUNT(s->figures) < FIGURES_MAX
                      ? xasprintf("%s/%s", entry->cache, entry->name)
                      : xstrdup("others");
    struct figures *f = NULL;
    HASH_FIND_STR(s->figures, label, f);
    if (f == NULL)
        f = new_figures(s, label);
    free(label);
    return f;
}
