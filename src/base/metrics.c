#include "base/base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t bucket_ns[] = {
    10000,     25000,     50000,      100000,     250000,      500000,
    1000000,   2500000,   5000000,    10000000,   25000000,    100000000,
    250000000, 500000000, 1000000000, 2500000000, 10000000000,
};
#define BUCKETS COUNT_OF(bucket_ns)

struct metric {
    _Atomic int64_t value;
};

struct histogram {
    _Atomic uint64_t buckets[BUCKETS + 1]; /* not cumulative; the last is beyond all bounds */
    _Atomic uint64_t sum_ns;
};

enum kind { COUNTER, GAUGE, READ, HISTOGRAM };

struct entry {
    struct entry *next;
    enum kind kind;
    const char *name;
    const char *help;
    char *labels;
    struct metric metric;
    struct histogram histogram;
    int64_t (*read)(void *context);
    void *context;
};

struct metrics {
    pthread_mutex_t lock; /* guards the list */
    struct entry *first;
};

struct metrics *metrics_new(void) {
    struct metrics *m = xcalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void metrics_free(struct metrics *m) {
    if (m == NULL)
        return;
    for (struct entry *e = m->first, *next; e != NULL; e = next) {
        next = e->next;
        free(e->labels);
        free(e);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static int compare(const struct entry *a, const struct entry *b) {
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : strcmp(a->labels, b->labels);
}

/* The list is kept sorted, so that equal names and labels are neighbours when rendered. */
static struct entry *insert(struct metrics *m, enum kind kind, const char *name, const char *help,
                            const char *labels) {
    struct entry *e = xcalloc(1, sizeof *e);
    e->kind = kind;
    e->name = name;
    e->help = help;
    e->labels = xstrdup(labels);
    pthread_mutex_lock(&m->lock);
    struct entry **at = &m->first;
    while (*at != NULL && compare(*at, e) <= 0)
        at = &(*at)->next;
    e->next = *at;
    *at = e;
    pthread_mutex_unlock(&m->lock);
    return e;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels) {
    return &insert(m, COUNTER, name, help, labels)->metric;
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels) {
    return &insert(m, GAUGE, name, help, labels)->metric;
}

struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const char *labels) {
    return &insert(m, HISTOGRAM, name, help, labels)->histogram;
}

void metrics_read(struct metrics *m, const char *name, const char *help, const char *labels,
                  int64_t (*read)(void *context), void *context) {
    struct entry *e = insert(m, READ, name, help, labels);
    e->context = context;
    pthread_mutex_lock(&m->lock);
    e->read = read;
    pthread_mutex_unlock(&m->lock);
}

void metric_add(struct metric *c, int64_t n) {
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

void metric_set(struct metric *c, int64_t value) {
    atomic_store_explicit(&c->value, value, memory_order_relaxed);
}

void histogram_observe_ns(struct histogram *h, uint64_t duration_ns) {
    size_t i = 0;
    while (i < BUCKETS && duration_ns > bucket_ns[i])
        i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, duration_ns, memory_order_relaxed);
}

void metrics_label(struct buffer *labels, const char *name, const char *value) {
    if (labels->length > 0)
        buffer_add_char(labels, ',');
    buffer_add_string(labels, name);
    buffer_add_string(labels, "=\"");
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buffer_add_string(labels, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            buffer_add_char(labels, '\\');
        buffer_add_char(labels, *value);
    }
    buffer_add_char(labels, '"');
}

static void render_line(struct buffer *text, const struct entry *e, int64_t value) {
    buffer_add_string(text, e->name);
    if (e->labels[0] != '\0')
        buffer_add_format(text, "{%s}", e->labels);
    buffer_add_format(text, " %lld\n", (long long)value);
}

static void render_histogram(struct buffer *text, const struct entry *e,
                             const uint64_t buckets[BUCKETS + 1], uint64_t sum_ns) {
    const char *comma = e->labels[0] != '\0' ? "," : "";
    uint64_t total = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        total += buckets[i];
        buffer_add_format(text, "%s_bucket{%s%sle=\"", e->name, e->labels, comma);
        if (i < BUCKETS)
            buffer_add_format(text, "%g", (double)bucket_ns[i] / 1e9);
        else
            buffer_add_string(text, "+Inf");
        buffer_add_format(text, "\"} %llu\n", (unsigned long long)total);
    }
    const char *open = e->labels[0] != '\0' ? "{" : "", *close = e->labels[0] != '\0' ? "}" : "";
    buffer_add_format(text, "%s_sum%s%s%s %.9f\n", e->name, open, e->labels, close,
                      (double)sum_ns / 1e9);
    buffer_add_format(text, "%s_count%s%s%s %llu\n", e->name, open, e->labels, close,
                      (unsigned long long)total);
}

static const char *type_word(const struct entry *e) {
    if (e->kind == HISTOGRAM)
        return "histogram";
    size_t length = strlen(e->name);
    return length > 6 && strcmp(e->name + length - 6, "_total") == 0 ? "counter" : "gauge";
}

void metrics_render(struct metrics *m, struct buffer *text) {
    pthread_mutex_lock(&m->lock);
    const char *name = "";
    for (struct entry *e = m->first, *last; e != NULL; e = last->next) {
        if (strcmp(e->name, name) != 0)
            buffer_add_format(text, "# HELP %s %s\n# TYPE %s %s\n", e->name, e->help, e->name,
                              type_word(e));
        name = e->name;
        int64_t value = 0;
        uint64_t buckets[BUCKETS + 1] = {0}, sum_ns = 0;
        last = e;
        for (struct entry *same = e; same != NULL && compare(same, e) == 0; same = same->next) {
            last = same;
            value += same->kind == READ && same->read != NULL
                         ? same->read(same->context)
                         : atomic_load_explicit(&same->metric.value, memory_order_relaxed);
            for (size_t i = 0; i <= BUCKETS; i++)
                buckets[i] +=
                    atomic_load_explicit(&same->histogram.buckets[i], memory_order_relaxed);
            sum_ns += atomic_load_explicit(&same->histogram.sum_ns, memory_order_relaxed);
        }
        if (e->kind == HISTOGRAM)
            render_histogram(text, e, buckets, sum_ns);
        else
            render_line(text, e, value);
    }
    pthread_mutex_unlock(&m->lock);
}
