#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int cli_usage_error(const struct cli_command *c, const char *format, ...) {
    va_list args;
    fprintf(stderr, "hookmoon %s: ", c->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsee hookmoon help %s\n", c->name);
    return CLI_USAGE;
}

int cli_fail(const char *format, ...) {
    va_list args;
    fprintf(stderr, "hookmoon: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_print_help(const struct cli_command *c) {
    fputs(c->help, stdout);
    return CLI_OK;
}

const char *cli_colour(int fd, const char *code) {
    const char *no_color = getenv("NO_COLOR");
    return isatty(fd) && (no_color == NULL || no_color[0] == '\0') ? code : "";
}

bool cli_read_all(int fd, struct buffer *to, size_t limit, struct error *e) {
    for (;;) {
        ssize_t got = read(fd, buffer_reserve(to, 65536), 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(e, ERROR_INVALID, "%s", strerror(errno));
        to->length += (size_t)got;
        to->data[to->length] = '\0';
        if (to->length > limit)
            return error_set(e, ERROR_TOO_LARGE, "it is larger than %zu bytes", limit);
        if (got == 0)
            return true;
    }
}

bool cli_parse_number(const char *text, uint64_t max, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number <= max;
}
