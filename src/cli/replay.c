/*
 * hookmoon replay: what a topic retains, once more through a script that runs here.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/comparison.h"
#include "cli/moment.h"
#include "cli/progress.h"
#include "cli/topic_reader.h"

static const struct option long_options[] = {
    CLIENT_OPTIONS,
    {"from", required_argument, NULL, 'f'},
    {"to", required_argument, NULL, 't'},
    {"bundle", required_argument, NULL, 'b'},
    {"compare", required_argument, NULL, 'o'},
    {"hook", required_argument, NULL, 'H'},
    {"config", required_argument, NULL, 'c'},
    {"dry-run", no_argument, NULL, 'd'},
    {"keep-going", no_argument, NULL, 'g'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct replay {
    struct client client;
    const char *cache, *topic;
    const char *from, *to, *bundle, *old_bundle, *hook, *config;
    bool dry_run, keep_going, as_json;
    struct exchange exchange;
    struct topic_reader reader;
    struct local_script script, old;
    struct progress progress;
    uint64_t first, last; /* which numbers */
    uint64_t items, published, failed, different;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    interrupted = number;
}

/* ---- one item ---- */

static void tell_failure(struct replay *r, const struct item *item, const char *why) {
    progress_hide(&r->progress);
    fprintf(stderr, "%shookmoon: item %" PRIu64 ": %s%s\n", cli_colour(2, "\033[31m"), item->number,
            why, cli_colour(2, "\033[0m"));
}

/* ---- publishing, or telling what would be ---- */

static void print_publishes(const struct item *item, const struct script_outcome *outcome) {
    struct buffer line = {0};
    for (size_t i = 0; i < outcome->publish_count; i++) {
        buffer_clear(&line);
        local_script_add_publish(&line, &outcome->publishes[i]);
        printf("{\"topic_sequence_number\":%" PRIu64 ",%s}\n", item->number, line.data);
    }
    buffer_free(&line);
}

static bool publish_all(struct replay *r, const struct item *item,
                        const struct script_outcome *outcome) {
    for (size_t i = 0; i < outcome->publish_count; i++) {
        const struct publish *p = &outcome->publishes[i];
        struct exchange_end end = exchange_publish(&r->exchange, p->cache, p->topic, p->item);
        if (end.reason != NULL) {
            progress_hide(&r->progress);
            cli_fail("item %" PRIu64 ": message %zu of %zu was not published: %s", item->number,
                     i + 1, outcome->publish_count, end.reason);
            if (i > 0)
                cli_fail("those before it were: going on with --from %" PRIu64
                         " publishes them again",
                         item->number);
            else
                cli_fail("go on with --from %" PRIu64, item->number);
            free(end.reason);
            return false;
        }
        r->published++;
    }
    return true;
}

/* False: stop here. */
static bool replay_item(struct replay *r, const struct item *item) {
    struct script_outcome outcome;
    struct buffer why = {0};
    bool good = true;
    local_script_run_item(&r->script, r->cache, r->topic, item, &outcome, &why);
    if (why.length > 0) {
        r->failed++;
        tell_failure(r, item, why.data);
        good = r->keep_going;
        if (!good)
            cli_fail("nothing of item %" PRIu64 " was published; go on with --from %" PRIu64
                     ", behind it with --from %" PRIu64 ", or with --keep-going",
                     item->number, item->number, item->number + 1);
    } else if (!r->dry_run) {
        good = publish_all(r, item, &outcome);
    } else {
        progress_hide(&r->progress);
        print_publishes(item, &outcome);
        r->published += outcome.publish_count;
    }
    buffer_free(&why);
    return good;
}

static void compare_item(struct replay *r, const struct item *item) {
    struct comparison c;
    comparison_run(&c, &r->old, &r->script, r->cache, r->topic, item);
    if (c.both_failed)
        r->failed++;
    if (!c.same) {
        r->different++;
        progress_hide(&r->progress);
        (r->as_json ? comparison_print_json : comparison_print)(&c, item);
    }
    comparison_free(&c);
}

/* ---- one item after another ---- */

static void tell_missing(struct replay *r, uint64_t missing, uint64_t before) {
    progress_hide(&r->progress);
    if (missing == 1)
        fprintf(stderr, "hookmoon: item %" PRIu64 " is no longer retained\n", before - 1);
    else
        fprintf(stderr, "hookmoon: items %" PRIu64 " to %" PRIu64 " are no longer retained\n",
                before - missing, before - 1);
}

static bool do_item(struct replay *r, const struct item *item) {
    r->items++;
    if (r->old_bundle != NULL)
        compare_item(r, item);
    else if (!replay_item(r, item))
        return false;
    fflush(stdout);
    progress_set(&r->progress, item->number - r->first + 1);
    if (interrupted && item->number < r->last) {
        progress_hide(&r->progress);
        cli_fail("interrupted; go on with --from %" PRIu64, item->number + 1);
    }
    return !ferror(stdout) && !interrupted;
}

/* CLI_OK when it came to the end, whatever the items were like. */
static int do_items(struct replay *r) {
    bool good = true;
    r->reader.newest = r->last;
    topic_reader_seek(&r->reader, r->first);
    progress_start(&r->progress, r->old_bundle != NULL ? "comparing" : "replaying",
                   r->last - r->first + 1);
    while (good && r->reader.number <= r->last) {
        struct item *item;
        uint64_t missing;
        if (!topic_reader_next(&r->reader, &item, &missing)) {
            cli_fail("go on with --from %" PRIu64, r->reader.number);
            good = false;
            break;
        }
        if (missing > 0)
            tell_missing(r, missing, item != NULL ? item->number : r->last + 1);
        if (item == NULL)
            break;
        good = do_item(r, item);
        item_unref(item);
    }
    progress_hide(&r->progress);
    return good ? CLI_OK : interrupted ? 128 + interrupted : CLI_FAILED;
}

static void tell_count(uint64_t count, const char *one, const char *more, const char *after) {
    fprintf(stderr, "%" PRIu64 " %s%s", count, count == 1 ? one : more, after);
}

static int summarise(const struct replay *r) {
    fprintf(stderr, "hookmoon: ");
    if (r->old_bundle != NULL) {
        tell_count(r->items, "item", "items", " compared, ");
        tell_count(r->different, "differs", "differ", "");
        if (r->failed > 0)
            fprintf(stderr, ", both scripts fail on %" PRIu64, r->failed);
        fputc('\n', stderr);
        return r->different > 0 ? CLI_FAILED : CLI_OK;
    }
    tell_count(r->items, "item", "items", ", ");
    tell_count(r->published, "message", "messages",
               r->dry_run ? " would be published" : " published");
    if (r->failed > 0)
        fprintf(stderr, "; the script failed on %" PRIu64, r->failed);
    fputc('\n', stderr);
    return r->failed > 0 ? CLI_FAILED : CLI_OK;
}

/* ---- from where to where ---- */

/* A number stands for itself; a time for the first item of that time or later. */
static int find_number(struct replay *r, const char *option, const char *text, bool *is_time,
                       uint64_t *number) {
    int64_t ms;
    *is_time = !cli_parse_number(text, INT64_MAX, number);
    if (!*is_time)
        return CLI_OK;
    if (!moment_parse(text, clock_wall_ms(), &ms))
        return cli_usage_error(
            &cli_replay,
            "%s %s: expected is an item's number, a time such as 2026-11-23T10:00:00Z or "
            "2026-11-23, or how long ago, such as 2h",
            option, text);
    return topic_reader_find(&r->reader, ms, number) ? CLI_OK : CLI_FAILED;
}

static int find_range(struct replay *r) {
    bool is_time;
    int result = find_number(r, "--from", r->from, &is_time, &r->first);
    r->first = r->first > 0 ? r->first : 1;
    r->last = r->reader.newest;
    if (result != CLI_OK || r->to == NULL)
        return result;
    uint64_t to;
    result = find_number(r, "--to", r->to, &is_time, &to);
    if (is_time && result == CLI_OK)
        to--; /* before that time */
    r->last = to < r->last ? to : r->last;
    return result;
}

static int replay_range(struct replay *r) {
    int result = find_range(r);
    if (result != CLI_OK)
        return result;
    if (r->first > r->last) {
        fprintf(stderr,
                "hookmoon: nothing to do: from %" PRIu64 " to %" PRIu64
                " (the newest item of %s/%s is %" PRIu64 ")\n",
                r->first, r->last, r->cache, r->topic, r->reader.newest);
        return CLI_OK;
    }
    result = do_items(r);
    int verdict = summarise(r);
    return result != CLI_OK ? result : verdict;
}

/* ---- the command ---- */

static int replay(struct replay *r) {
    int result = CLI_FAILED;
    /* What is under way is finished; a second one ends it at once. */
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    exchange_open(&r->exchange, &r->client);
    if (local_script_open(&r->script, r->bundle, r->hook, r->config) &&
        (r->old_bundle == NULL || local_script_open(&r->old, r->old_bundle, r->hook, r->config)) &&
        topic_reader_open(&r->reader, &r->exchange, r->cache, r->topic))
        result = replay_range(r);
    topic_reader_close(&r->reader);
    exchange_close(&r->exchange);
    local_script_close(&r->script);
    local_script_close(&r->old);
    return result;
}

static int take_option(struct replay *r, int flag, const char *value) {
    switch (flag) {
    case 'f':
        r->from = value;
        break;
    case 't':
        r->to = value;
        break;
    case 'b':
        r->bundle = value;
        break;
    case 'o':
        r->old_bundle = value;
        break;
    case 'H':
        r->hook = value;
        break;
    case 'c':
        r->config = value;
        break;
    case 'd':
        r->dry_run = true;
        break;
    case 'g':
        r->keep_going = true;
        break;
    case 'j':
        r->as_json = true;
        break;
    default: {
        int taken = client_option(&r->client, flag, value);
        return taken == CLI_USAGE ? cli_usage_error(&cli_replay, "unknown or incomplete option")
                                  : taken;
    }
    }
    return CLI_OK;
}

static int run(int argc, char **argv) {
    struct replay r = {.hook = ""};
    int flag;
    client_init(&r.client);
    while ((flag = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        if (flag == 'h')
            return cli_print_help(&cli_replay);
        int taken = take_option(&r, flag, optarg);
        if (taken != CLI_OK)
            return taken;
    }
    if (argc - optind != 2)
        return cli_usage_error(&cli_replay, "expected is CACHE TOPIC");
    if (r.from == NULL || r.bundle == NULL)
        return cli_usage_error(&cli_replay, "expected are --from N or a time, and --bundle SCRIPT");
    r.cache = argv[optind];
    r.topic = argv[optind + 1];
    return replay(&r);
}

const struct cli_command cli_replay = {
    .name = "replay",
    .summary = "run what a topic retains through a script once more",
    .help =
        "usage: hookmoon replay CACHE TOPIC --from N|TIME --bundle SCRIPT [options]\n"
        "\n"
        "Reads the items that a topic retains from a running gateway, runs SCRIPT (a .lua file, a\n"
        "bundle's folder, or the name of one in ./scripts) here on each of them, as the event\n"
        "that a webhook would deliver, and publishes what it asks for, one event after another.\n"
        "An event whose script fails publishes nothing, and ends it.\n"
        "\n"
        "      --from N|TIME     the first item: its number, or a time: 2026-11-23T10:00:00Z,\n"
        "                        2026-11-23 (UTC), or how long ago, such as 2h or 7d\n"
        "      --to N|TIME       the last item: its number, or all before a time; unless said,\n"
        "                        the newest at the start\n"
        "      --bundle SCRIPT   the script\n"
        "      --dry-run         publish nothing; print what would be, as JSON lines\n"
        "      --compare OLD     publish nothing; run OLD as well, and print only the items that\n"
        "                        they differ on; exit 1 when there are any\n"
        "      --hook NAME       as if it came to /hooks/SCRIPT/NAME\n"
        "      --keep-going      go on with the next item after a script's error; exit 1 still\n"
        "  -c, --config FILE     take the limits and the folder of scripts from this one\n"
        "      --json            the differences as JSON lines\n" CLIENT_OPTIONS_HELP,
    .run = run,
};
