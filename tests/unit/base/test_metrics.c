/* Prometheus text. */
#include "../test.h"

static int64_t read_seven(void *context) {
    (void)context;
    return 7;
}

static void test_equal_names_and_labels_are_summed(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    struct buffer text = {0};
    metric_add(metrics_counter(m, "b_total", "Help b.", "x=\"1\""), 2);
    metric_add(metrics_counter(m, "b_total", "Help b.", "x=\"1\""), 3);
    metric_add(metrics_counter(m, "b_total", "Help b.", "x=\"2\""), 1);
    metric_set(metrics_gauge(m, "a", "Help a.", ""), -4);
    metrics_read(m, "c", "Help c.", "", read_seven, NULL);
    metrics_render(m, &text);
    assert_string_equal(text.data, "# HELP a Help a.\n# TYPE a gauge\na -4\n"
                                   "# HELP b_total Help b.\n# TYPE b_total counter\n"
                                   "b_total{x=\"1\"} 5\nb_total{x=\"2\"} 1\n"
                                   "# HELP c Help c.\n# TYPE c gauge\nc 7\n");
    buffer_free(&text);
    metrics_free(m);
}

static void test_histograms_count_from_below(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    struct buffer text = {0};
    struct histogram *h = metrics_histogram(m, "d_seconds", "Help.", "x=\"1\"");
    histogram_observe_ns(h, 9000);
    histogram_observe_ns(h, 2000000);
    histogram_observe_ns(h, 60000000000);
    metrics_render(m, &text);
    assert_non_null(strstr(text.data, "# TYPE d_seconds histogram\n"));
    assert_non_null(strstr(text.data, "d_seconds_bucket{x=\"1\",le=\"1e-05\"} 1\n"));
    assert_non_null(strstr(text.data, "d_seconds_bucket{x=\"1\",le=\"0.0025\"} 2\n"));
    assert_non_null(strstr(text.data, "d_seconds_bucket{x=\"1\",le=\"10\"} 2\n"));
    assert_non_null(strstr(text.data, "d_seconds_bucket{x=\"1\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text.data, "d_seconds_sum{x=\"1\"} 60.002009000\n"));
    assert_non_null(strstr(text.data, "d_seconds_count{x=\"1\"} 3\n"));
    buffer_free(&text);
    metrics_free(m);
}

static void test_label_values_are_escaped(void **state) {
    (void)state;
    struct buffer labels = {0};
    metrics_label(&labels, "a", "x\"y\\z\n");
    metrics_label(&labels, "b", "1");
    assert_string_equal(labels.data, "a=\"x\\\"y\\\\z\\n\",b=\"1\"");
    buffer_free(&labels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_names_and_labels_are_summed),
        cmocka_unit_test(test_histograms_count_from_below),
        cmocka_unit_test(test_label_values_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
