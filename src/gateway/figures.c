#include "gateway/figures.h"

/* ---- of the broker ---- */

static struct broker_stats broker_now(void *context) {
    const struct ingress_shared *s = context;
    struct broker_stats stats;
    broker_get_stats(s->broker, &stats);
    return stats;
}

static int64_t read_published(void *context) {
    return (int64_t)broker_now(context).published;
}

static int64_t read_subscribers(void *context) {
    return (int64_t)broker_now(context).subscribers;
}

static int64_t read_topics(void *context) {
    return (int64_t)broker_now(context).topics;
}

static int64_t read_discontinuities(void *context) {
    return (int64_t)broker_now(context).discontinuities;
}

/* ---- of the store ---- */

static struct journal_figures journal_now(void *context) {
    const struct ingress_shared *s = context;
    struct journal_figures figures;
    journal_get_figures(store_journal(s->store), &figures);
    return figures;
}

static int64_t read_commits(void *context) {
    return (int64_t)journal_now(context).commits;
}

static int64_t read_transactions(void *context) {
    return (int64_t)journal_now(context).transactions;
}

static int64_t read_failures(void *context) {
    return (int64_t)journal_now(context).failures;
}

static int64_t read_queued(void *context) {
    return (int64_t)journal_now(context).queued_bytes;
}

static int64_t read_failing(void *context) {
    const struct ingress_shared *s = context;
    return journal_now(context).failing || store_is_damaged(s->store, NULL);
}

static int64_t read_deadletters(void *context) {
    const struct ingress_shared *s = context;
    int64_t count = 0;
    store_count_deadletters(s->store, &count, NULL);
    return count;
}

static int64_t read_inbox(void *context) {
    struct ingress_shared *s = context;
    return (int64_t)atomic_load(&s->inbox);
}

static const struct {
    const char *name, *help;
    int64_t (*read)(void *context);
} figures[] = {
    {"hookmoon_items_published_total", "Items published, by whomever.", read_published},
    {"hookmoon_subscribers", "Subscriptions that are open, webhooks included.", read_subscribers},
    {"hookmoon_topics", "Topics that exist.", read_topics},
    {"hookmoon_discontinuities_total", "Gaps that subscribers were told of.", read_discontinuities},
    {"hookmoon_store_commits_total", "Commits to the disk.", read_commits},
    {"hookmoon_store_transactions_total", "Transactions in those commits.", read_transactions},
    {"hookmoon_store_failures_total", "Commits that the disk refused.", read_failures},
    {"hookmoon_store_queued_bytes", "What waits to be written.", read_queued},
    {"hookmoon_store_failing", "1 while the disk takes no writes, or the database is damaged.",
     read_failing},
    {"hookmoon_deadletters", "Dead letters that are kept.", read_deadletters},
    {"hookmoon_inbox_events", "Acknowledged events that wait for their scripts.", read_inbox},
};

void figures_register(struct ingress_shared *s) {
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        metrics_read(s->metrics, figures[i].name, figures[i].help, "", figures[i].read, s);
}
