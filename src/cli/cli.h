/*
 * cli: the subcommands, one file each (cli/NAME.c), listed in the table of main.c.
 */
#ifndef HOOKMOON_CLI_CLI_H
#define HOOKMOON_CLI_CLI_H

#include "base/base.h"

#define HOOKMOON_VERSION "0.3.0"

/* Exit codes: 0 good, 1 it failed, 2 wrong usage. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_command {
    const char *name;
    const char *summary;               /* one line for `hookmoon help` */
    const char *help;                  /* the whole text of `hookmoon help NAME` */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

extern const struct cli_command cli_serve, cli_check, cli_run, cli_publish, cli_subscribe,
    cli_cache, cli_webhook, cli_key, cli_deadletters, cli_replay, cli_backup, cli_sign, cli_version;

/* Prints "hookmoon NAME: message" and where to find help; returns CLI_USAGE. */
int cli_usage_error(const struct cli_command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints "hookmoon: message" on stderr; returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the command's help on stdout; returns CLI_OK. */
int cli_print_help(const struct cli_command *c);
/* ANSI colour when the stream is a terminal and NO_COLOR is unset, else "". */
const char *cli_colour(int fd, const char *code);
/* All of a stream, up to `limit` bytes; false when it is longer or cannot be read. */
bool cli_read_all(int fd, struct buffer *to, size_t limit, struct error *e);
/* A whole decimal number of at most `max`. */
bool cli_parse_number(const char *text, uint64_t max, uint64_t *number);

#endif
