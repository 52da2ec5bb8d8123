/*
 * hookmoon: the table of subcommands.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/similar.h"
#include "cli/cli.h"

static const struct cli_command *const commands[] = {
    &cli_serve,  &cli_check,   &cli_run,     &cli_publish,     &cli_subscribe,
    &cli_cache,  &cli_webhook, &cli_key,     &cli_deadletters, &cli_replay,
    &cli_backup, &cli_sign,    &cli_version,
};

static const struct cli_command *find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_overview(FILE *to) {
    const char *bold = cli_colour(fileno(to), "\033[1m"),
               *plain = cli_colour(fileno(to), "\033[0m");
    fprintf(
        to,
        "hookmoon: webhooks in, Lua scripts, events out\n\nusage: hookmoon COMMAND [options]\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(to, "  %s%-11s%s %s\n", bold, commands[i]->name, plain, commands[i]->summary);
    fprintf(to, "  %s%-11s%s show this, or a command's options\n\n", bold, "help", plain);
    fprintf(to, "hookmoon help COMMAND tells more.\n");
}

static int unknown_command(const char *word) {
    const char *guess = NULL;
    size_t bound = strlen(word) > 4 ? 3 : 2;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        size_t mistakes = similar_distance(word, commands[i]->name);
        if (mistakes < bound) {
            bound = mistakes;
            guess = commands[i]->name;
        }
    }
    fprintf(stderr, "hookmoon: there is no command \"%s\"; ", word);
    if (guess != NULL)
        fprintf(stderr, "did you mean \"%s\"?\n", guess);
    else
        fprintf(stderr, "see hookmoon help\n");
    return CLI_USAGE;
}

/* What was printed must have arrived, too. A reader that has left, as head does, knows why. */
static int finish(int result) {
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return result;
    if (result == CLI_OK && errno == EPIPE)
        return CLI_FAILED;
    return result == CLI_OK ? cli_fail("cannot write standard output") : result;
}

static bool is_help(const char *word) {
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int help(int argc, char **argv) {
    if (argc < 2 || is_help(argv[1])) {
        print_overview(stdout);
        return CLI_OK;
    }
    const struct cli_command *c = find(argv[1]);
    return c != NULL ? cli_print_help(c) : unknown_command(argv[1]);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of that write, not our end */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file's limit */
    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    if (is_help(argv[1]))
        return finish(help(argc - 1, argv + 1));
    const struct cli_command *c = find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    return c != NULL ? finish(c->run(argc - 1, argv + 1)) : unknown_command(argv[1]);
}
