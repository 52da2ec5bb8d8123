/*
 * hookmoon: the table of subcommands.
 */
#include <signal.h>
#include <stdio.h>

#include "cli/cli.h"

static const struct cli_command *const commands[] = {
    &cli_serve, &cli_check, &cli_run, &cli_publish, &cli_subscribe, &cli_sign, &cli_version,
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
        fprintf(to, "  %s%-10s%s %s\n", bold, commands[i]->name, plain, commands[i]->summary);
    fprintf(to, "  %s%-10s%s show this, or a command's options\n\n", bold, "help", plain);
    fprintf(to, "hookmoon help COMMAND tells more.\n");
}

static int help(int argc, char **argv) {
    if (argc < 2) {
        print_overview(stdout);
        return CLI_OK;
    }
    const struct cli_command *c = find(argv[1]);
    if (c != NULL)
        return cli_print_help(c);
    fprintf(stderr, "hookmoon: there is no command \"%s\"; see hookmoon help\n", argv[1]);
    return CLI_USAGE;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of that write, not our end */
    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return help(argc - 1, argv + 1);
    const struct cli_command *c = find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (c != NULL)
        return c->run(argc - 1, argv + 1);
    fprintf(stderr, "hookmoon: there is no command \"%s\"; see hookmoon help\n", argv[1]);
    return CLI_USAGE;
}
