/*
 * hookmoon deadletters: what a script or a destination did not take, to look at, repeat or drop.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "cli/deadletter_view.h"
#include "cli/progress.h"

#define PAGE     100
#define ID_BYTES 24

static const struct option long_options[] = {
    CLIENT_OPTIONS,
    {"kind", required_argument, NULL, 'K'},
    {"hook", required_argument, NULL, 'H'},
    {"cache", required_argument, NULL, 'C'},
    {"webhook", required_argument, NULL, 'W'},
    {"limit", required_argument, NULL, 'n'},
    {"all", no_argument, NULL, 'a'},
    {"dry-run", no_argument, NULL, 'd'},
    {"event", no_argument, NULL, 'E'},
    {"json", no_argument, NULL, 'j'},
    {"yes", no_argument, NULL, 'y'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct options {
    struct client client;
    const char *kind, *hook, *cache, *webhook; /* the filters */
    uint64_t limit;                            /* 0: none */
    bool all, dry_run, as_event, as_json, yes;
};

static bool has_filter(const struct options *o) {
    return o->kind != NULL || o->hook != NULL || o->cache != NULL || o->webhook != NULL;
}

/* ---- all that match ---- */

static int get_page(const struct options *o, const char *after, uint64_t count, json_t **answer) {
    static const char *const parts[] = {"deadletters", NULL};
    struct buffer query = {0};
    char limit[ID_BYTES];
    long status;
    snprintf(limit, sizeof limit, "%" PRIu64, count);
    client_add_argument(&query, "kind", o->kind);
    client_add_argument(&query, "hook", o->hook);
    client_add_argument(&query, "cache", o->cache);
    client_add_argument(&query, "webhook", o->webhook);
    client_add_argument(&query, "after", after);
    client_add_argument(&query, "limit", limit);
    char *reason =
        client_admin_try(&o->client, "GET", parts, buffer_string(&query), NULL, answer, &status);
    buffer_free(&query);
    if (reason == NULL)
        return CLI_OK;
    cli_fail("%s", reason);
    free(reason);
    return CLI_FAILED;
}

/* Collects them into the array `all`, page by page, up to the limit. */
static int get_all(const struct options *o, json_t *all) {
    char after[ID_BYTES] = "";
    json_int_t last = 0;
    for (;;) {
        json_t *answer;
        uint64_t wanted = o->limit > 0 ? o->limit - json_array_size(all) : PAGE;
        if (get_page(o, after[0] != '\0' ? after : NULL, wanted < PAGE ? wanted : PAGE, &answer) !=
            CLI_OK)
            return CLI_FAILED;
        json_array_extend(all, json_object_get(answer, "deadletters"));
        json_t *next = json_object_get(answer, "next");
        json_int_t id = json_integer_value(next);
        json_decref(answer);
        if (id <= last || (o->limit > 0 && json_array_size(all) >= o->limit))
            return CLI_OK;
        last = id;
        snprintf(after, sizeof after, "%" JSON_INTEGER_FORMAT, id);
    }
}

/* ---- list and show ---- */

static int list(const struct options *o) {
    json_t *all = json_array();
    int result = get_all(o, all);
    if (result == CLI_OK && o->as_json) {
        json_t *answer = json_pack("{s:O}", "deadletters", all);
        client_print(answer);
        json_decref(answer);
    } else if (result == CLI_OK) {
        deadletter_print_table(all);
    }
    json_decref(all);
    return result;
}

static int show(const struct options *o, const char *id) {
    const char *const parts[] = {"deadletters", id, NULL};
    json_t *answer;
    int result = client_admin(&o->client, "GET", parts, NULL, &answer);
    if (result == CLI_OK && o->as_event)
        puts(client_member(answer, "event"));
    else if (result == CLI_OK && o->as_json)
        client_print(answer);
    else if (result == CLI_OK)
        deadletter_print(answer);
    json_decref(answer);
    return result;
}

/* ---- replay and drop ---- */

/* One after another; a failure is told, and the next one has its turn. */
struct batch {
    const struct options *options;
    const char *verb; /* in the past, for the summary */
    /* Does it, with the reason when it fails (the caller frees) and the status of the answer. */
    char *(*each)(const struct options *o, const char *id, long *status);
    struct progress progress;
    uint64_t total, done, failed;
};

/* What it published, one message a line. */
static void print_answer(const char *id, const json_t *answer) {
    size_t i;
    json_t *publish;
    if (json_is_true(json_object_get(answer, "queued")))
        printf("{\"id\":%s,\"queued\":true}\n", id);
    json_array_foreach(json_object_get(answer, "publishes"), i, publish) {
        json_t *line = json_pack("{s:I}", "id", (json_int_t)strtoll(id, NULL, 10));
        json_object_update(line, publish);
        client_print(line);
        json_decref(line);
    }
}

static char *replay_one(const struct options *o, const char *id, long *status) {
    const char *const parts[] = {"deadletters", id, "replay", NULL};
    json_t *answer, *body = o->dry_run ? json_pack("{s:b}", "dry_run", 1) : json_object();
    char *reason = client_admin_try(&o->client, "POST", parts, "", body, &answer, status);
    if (reason == NULL)
        print_answer(id, answer);
    json_decref(answer);
    return reason;
}

static char *drop_one(const struct options *o, const char *id, long *status) {
    const char *const parts[] = {"deadletters", id, NULL};
    json_t *answer;
    char *reason = client_admin_try(&o->client, "DELETE", parts, "", NULL, &answer, status);
    json_decref(answer);
    return reason;
}

/* False when going on has no sense: nobody answers, nobody reads, or the key is not good enough. */
static bool do_one(struct batch *b, const char *id) {
    long status = 0;
    progress_hide(&b->progress);
    char *reason = b->each(b->options, id, &status);
    fflush(stdout);
    b->done++;
    if (reason != NULL) {
        b->failed++;
        cli_fail("dead letter %s: %s", id, reason);
    }
    bool hopeless = reason != NULL && (status == 0 || status == 401 || status == 403);
    free(reason);
    progress_set(&b->progress, b->done);
    return !hopeless && !ferror(stdout);
}

static int finish(struct batch *b) {
    progress_hide(&b->progress);
    if (b->failed > 0)
        return cli_fail("%" PRIu64 " of %" PRIu64 " failed%s", b->failed, b->total,
                        b->done < b->total ? ", and what came after was not tried" : "");
    if (b->options->all || b->total > 1)
        fprintf(stderr, "hookmoon: %" PRIu64 " %s%s\n", b->done, b->verb,
                b->options->dry_run ? " (only tried, nothing has changed)" : "");
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

/* Those of now: what becomes a dead letter meanwhile is not among them. */
static int do_all(struct batch *b) {
    json_t *all = json_array(), *letter;
    size_t i;
    int result = get_all(b->options, all);
    if (result == CLI_OK) {
        b->total = json_array_size(all);
        progress_start(&b->progress, b->verb, b->total);
        json_array_foreach(all, i, letter) {
            char id[ID_BYTES];
            snprintf(id, sizeof id, "%" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(letter, "id")));
            if (!do_one(b, id))
                break;
        }
        result = finish(b);
    }
    json_decref(all);
    return result;
}

static int do_these(struct batch *b, size_t count, char **ids) {
    b->total = count;
    progress_start(&b->progress, b->verb, count);
    for (size_t i = 0; i < count; i++) {
        if (!do_one(b, ids[i]))
            break;
    }
    return finish(b);
}

static int do_batch(struct batch *b, size_t count, char **ids) {
    const struct options *o = b->options;
    if (o->all == (count > 0))
        return cli_usage_error(&cli_deadletters, "expected is either an ID, or several, or --all");
    if (!o->all && (has_filter(o) || o->limit > 0))
        return cli_usage_error(&cli_deadletters, "filters go with --all");
    return o->all ? do_all(b) : do_these(b, count, ids);
}

/* ---- the command ---- */

/* NULL, or what is no number. */
static const char *find_wrong_id(size_t count, char **ids) {
    uint64_t id;
    for (size_t i = 0; i < count; i++) {
        if (!cli_parse_number(ids[i], INT64_MAX, &id))
            return ids[i];
    }
    return NULL;
}

static int dispatch(const struct options *o, size_t count, char **words) {
    const char *word = count > 0 ? words[0] : "";
    size_t ids = count > 0 ? count - 1 : 0;
    const char *wrong = find_wrong_id(ids, words + 1);
    struct batch replay = {.options = o, .verb = "replayed", .each = replay_one};
    struct batch drop = {.options = o, .verb = "dropped", .each = drop_one};
    if (wrong != NULL)
        return cli_usage_error(&cli_deadletters, "%s: an ID is a number, see the list", wrong);
    if (o->kind != NULL && strcmp(o->kind, "script") != 0 && strcmp(o->kind, "delivery") != 0)
        return cli_usage_error(&cli_deadletters, "--kind %s: expected is script or delivery",
                               o->kind);
    if (strcmp(word, "list") == 0 && ids == 0)
        return list(o);
    if (strcmp(word, "show") == 0 && ids == 1)
        return show(o, words[1]);
    if (strcmp(word, "replay") == 0)
        return do_batch(&replay, ids, words + 1);
    if (strcmp(word, "drop") == 0 && o->dry_run)
        return cli_usage_error(&cli_deadletters,
                               "--dry-run goes with replay; see the list instead");
    if (strcmp(word, "drop") == 0 && o->all && !has_filter(o) && o->limit == 0 && !o->yes)
        return cli_usage_error(&cli_deadletters, "this drops every dead letter: add --yes if that "
                                                 "is what you want, or a filter such as --hook");
    if (strcmp(word, "drop") == 0)
        return do_batch(&drop, ids, words + 1);
    return cli_usage_error(&cli_deadletters,
                           "expected is list, show ID, replay ID... or drop ID...");
}

static int take_option(struct options *o, int flag, const char *value) {
    switch (flag) {
    case 'K':
        o->kind = value;
        break;
    case 'H':
        o->hook = value;
        break;
    case 'C':
        o->cache = value;
        break;
    case 'W':
        o->webhook = value;
        break;
    case 'n':
        if (!cli_parse_number(value, INT64_MAX, &o->limit) || o->limit == 0)
            return cli_usage_error(&cli_deadletters, "--limit %s: expected is a number", value);
        break;
    case 'a':
        o->all = true;
        break;
    case 'd':
        o->dry_run = true;
        break;
    case 'E':
        o->as_event = true;
        break;
    case 'j':
        o->as_json = true;
        break;
    case 'y':
        o->yes = true;
        break;
    default: {
        int taken = client_option(&o->client, flag, value);
        return taken == CLI_USAGE
                   ? cli_usage_error(&cli_deadletters, "unknown or incomplete option")
                   : taken;
    }
    }
    return CLI_OK;
}

static int run(int argc, char **argv) {
    struct options o = {0};
    int flag;
    client_init(&o.client);
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (flag == 'h')
            return cli_print_help(&cli_deadletters);
        int taken = take_option(&o, flag, optarg);
        if (taken != CLI_OK)
            return taken;
    }
    return dispatch(&o, (size_t)(argc - optind), argv + optind);
}

const struct cli_command cli_deadletters = {
    .name = "deadletters",
    .summary = "look at, repeat or drop what failed for good",
    .help =
        "usage: hookmoon deadletters list [filters] [options]\n"
        "       hookmoon deadletters show ID [--event] [options]\n"
        "       hookmoon deadletters replay (ID... | --all [filters]) [--dry-run] [options]\n"
        "       hookmoon deadletters drop (ID... | --all [filters]) [options]\n"
        "\n"
        "The dead letters of a running gateway: events that a script failed on, and deliveries\n"
        "that a webhook's destination did not take, after all their retries. replay runs the\n"
        "script of now on the event and, when that went well, publishes, drops the dead letter\n"
        "and prints what was published as JSON lines; a delivery goes back into its webhook's\n"
        "queue. It goes on after a failure; exit 1 when there was any.\n"
        "\n"
        "      --kind K         script or delivery\n"
        "      --hook NAME      of this hook\n"
        "      --cache NAME     of this cache\n"
        "      --webhook NAME   of this webhook\n"
        "      --limit N        at most so many, oldest first\n"
        "      --all            all that there are, or that the filters leave\n"
        "      --dry-run        run the script, print what it would publish, and change nothing\n"
        "      --yes            drop --all without a filter\n"
        "      --event          only the event as it came, for hookmoon run\n" CLIENT_OPTIONS_HELP
        "      --json           the answer as JSON\n",
    .run = run,
};
