#include "cli/comparison.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/moment.h"

static void result_of(struct script_result *result, struct local_script *l, const char *cache,
                      const char *topic, const struct item *item) {
    struct script_outcome outcome;
    local_script_run_item(l, cache, topic, item, &outcome, &result->why);
    result->count = outcome.publish_count;
    for (size_t i = 0; i < outcome.publish_count; i++) {
        buffer_add_char(&result->lines, '{');
        local_script_add_publish(&result->lines, &outcome.publishes[i]);
        buffer_add_string(&result->lines, "}\n");
    }
}

void comparison_run(struct comparison *c, struct local_script *old, struct local_script *new,
                    const char *cache, const char *topic, const struct item *item) {
    *c = (struct comparison){0};
    result_of(&c->old, old, cache, topic, item);
    result_of(&c->new, new, cache, topic, item);
    bool old_failed = c->old.why.length > 0, new_failed = c->new.why.length > 0;
    c->both_failed = old_failed && new_failed;
    c->same = old_failed == new_failed &&
              strcmp(buffer_string(&c->old.lines), buffer_string(&c->new.lines)) == 0;
}

static void result_free(struct script_result *result) {
    buffer_free(&result->lines);
    buffer_free(&result->why);
}

void comparison_free(struct comparison *c) {
    result_free(&c->old);
    result_free(&c->new);
}

/* How far two texts are the same, in whole lines. */
static size_t common_lines(const char *a, const char *b) {
    size_t whole = 0;
    for (size_t i = 0; a[i] != '\0' && a[i] == b[i]; i++) {
        if (a[i] == '\n')
            whole = i + 1;
    }
    return whole;
}

static void print_marked(const char *mark, const char *text, size_t length) {
    for (const char *end = text + length; text < end; text += strcspn(text, "\n") + 1)
        printf("%s%.*s%s\n", mark, (int)strcspn(text, "\n"), text, cli_colour(1, "\033[0m"));
}

static void print_result(const char *mark, const struct script_result *result, size_t common) {
    char *failed = xasprintf("%sit fails: ", mark);
    print_marked(mark, buffer_string(&result->lines) + common, result->lines.length - common);
    if (result->why.length > 0)
        print_marked(failed, result->why.data, strcspn(result->why.data, "\n"));
    free(failed);
}

void comparison_print(const struct comparison *c, const struct item *item) {
    const char *old = buffer_string(&c->old.lines);
    char time[MOMENT_SIZE];
    size_t common = common_lines(old, buffer_string(&c->new.lines));
    char *minus = xasprintf("%s- ", cli_colour(1, "\033[31m"));
    char *plus = xasprintf("%s+ ", cli_colour(1, "\033[32m"));
    moment_format(time, item->timestamp_ms);
    printf("item %" PRIu64 " of %s\n", item->number, time);
    print_marked("  ", old, common);
    print_result(minus, &c->old, common);
    print_result(plus, &c->new, common);
    free(minus);
    free(plus);
}

static void add_json_result(struct buffer *to, const char *name,
                            const struct script_result *result) {
    if (result->why.length > 0) {
        buffer_add_format(to, ",\"%s_error\":", name);
        buffer_add_json_string(to, result->why.data, strcspn(result->why.data, "\n"));
        return;
    }
    buffer_add_format(to, ",\"%s\":[", name);
    const char *line = buffer_string(&result->lines);
    for (size_t i = 0; i < result->count; i++) {
        size_t length = strcspn(line, "\n"); /* JSON has no line ends of its own */
        buffer_add(to, i > 0 ? "," : "", i > 0);
        buffer_add(to, line, length);
        line += length + 1;
    }
    buffer_add_char(to, ']');
}

void comparison_print_json(const struct comparison *c, const struct item *item) {
    struct buffer line = {0};
    buffer_add_format(&line, "{\"topic_sequence_number\":%" PRIu64, item->number);
    add_json_result(&line, "old", &c->old);
    add_json_result(&line, "new", &c->new);
    printf("%s}\n", line.data);
    buffer_free(&line);
}
