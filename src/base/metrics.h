/*
 * metrics: counters, gauges and histograms, rendered as Prometheus text.
 *
 * Each worker registers metrics of its own, so that counting is never contended; those of the same
 * name and labels are summed when rendered. Register from any thread; the pointers stay valid until
 * metrics_free. Counting is a relaxed atomic and may be done from any thread. Labels are bounded by
 * the configuration (bundles, webhooks, outcomes): never label by topic.
 */
#ifndef HOOKMOON_BASE_METRICS_H
#define HOOKMOON_BASE_METRICS_H

struct metrics;
struct metric;
struct histogram;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/*
 * `name` and `help` are literals; a counter's name ends in _total. `labels` is text such as
 * `hook="uppercase",outcome="ok"` ("" for none) and is copied; values need metrics_label's escapes
 * when they come from outside.
 */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels);
/* A gauge or (name ends in _total) counter that is read when rendered. */
void metrics_read(struct metrics *m, const char *name, const char *help, const char *labels,
                  int64_t (*read)(void *context), void *context);
/* Of durations, rendered in seconds: buckets from 10 us to 10 s. */
struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const char *labels);

void metric_add(struct metric *c, int64_t n);
void metric_set(struct metric *c, int64_t value);
void histogram_observe_ns(struct histogram *h, uint64_t duration_ns);

/* Appends `name="value"` with the value escaped, after a comma when `labels` is not empty. */
void metrics_label(struct buffer *labels, const char *name, const char *value);
void metrics_render(struct metrics *m, struct buffer *text);

#endif
