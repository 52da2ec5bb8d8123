#include "base/base.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *const level_words[] = {"debug", "info", "warn", "error", "off"};
static const char *const level_colours[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};

/* Set once by log_setup before other threads exist, read-only afterwards. */
static struct {
    enum log_level level;
    bool human;
    bool colour;
} settings = {.level = LOG_INFO};

void log_setup(enum log_level level, enum log_format format) {
    bool terminal = isatty(STDERR_FILENO) == 1;
    settings.level = level;
    settings.human = format == LOG_HUMAN || (format == LOG_AUTO && terminal);
    settings.colour = settings.human && terminal && getenv("NO_COLOR") == NULL;
}

bool log_enabled(enum log_level level) {
    return level >= settings.level;
}

bool log_level_parse(const char *word, enum log_level *level) {
    for (size_t i = 0; i < COUNT_OF(level_words); i++) {
        if (strcmp(word, level_words[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Text for a terminal: control bytes become \xNN, except that a message may have line breaks. */
static void add_printable(struct buffer *b, const char *text, size_t length, bool line_breaks) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n' && line_breaks)
            buffer_add_string(b, "\n    ");
        else if (c < 0x20 || c == 0x7f)
            buffer_add_format(b, "\\x%02x", c);
        else
            buffer_add_char(b, (char)c);
    }
}

static void add_human(struct buffer *b, enum log_level level, const char *message,
                      const struct log_field *fields, size_t count, int64_t now) {
    time_t seconds = (time_t)(now / 1000000);
    struct tm local;
    localtime_r(&seconds, &local);
    char stamp[16];
    strftime(stamp, sizeof stamp, "%H:%M:%S", &local);
    buffer_add_format(b, "%s.%06d %s%-5s%s ", stamp, (int)(now % 1000000),
                      settings.colour ? level_colours[level] : "", level_words[level],
                      settings.colour ? "\033[0m" : "");
    add_printable(b, message, strlen(message), true);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key == NULL)
            continue;
        bool block = !fields[i].is_number && memchr(fields[i].text, '\n', fields[i].length);
        buffer_add_format(b, block ? "\n  %s: " : "  %s=", fields[i].key);
        if (fields[i].is_number)
            buffer_add_format(b, "%lld", (long long)fields[i].number);
        else
            add_printable(b, fields[i].text, fields[i].length, true);
    }
    buffer_add_char(b, '\n');
}

/* Bytes that are not UTF-8 must not spoil the line for who parses it. */
static void add_json_text(struct buffer *b, const char *text, size_t length) {
    if (utf8_valid(text, length)) {
        buffer_add_json_string(b, text, length);
        return;
    }
    struct buffer clean = {0};
    for (size_t i = 0; i < length; i++)
        buffer_add_char(&clean, (unsigned char)text[i] < 0x80 ? text[i] : '?');
    buffer_add_json_string(b, clean.data, clean.length);
    buffer_free(&clean);
}

static void add_json(struct buffer *b, enum log_level level, const char *message,
                     const struct log_field *fields, size_t count, int64_t now) {
    time_t seconds = (time_t)(now / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    buffer_add_format(b, "{\"time\":\"%s.%06dZ\",\"level\":\"%s\",\"message\":", stamp,
                      (int)(now % 1000000), level_words[level]);
    buffer_add_json_string(b, message, strlen(message));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key == NULL)
            continue;
        buffer_add_format(b, ",\"%s\":", fields[i].key);
        if (fields[i].is_number)
            buffer_add_format(b, "%lld", (long long)fields[i].number);
        else
            add_json_text(b, fields[i].text, fields[i].length);
    }
    buffer_add_string(b, "}\n");
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count) {
    struct buffer line = {0};
    int64_t now = clock_wall_us();
    if (settings.human)
        add_human(&line, level, message, fields, count, now);
    else
        add_json(&line, level, message, fields, count, now);
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line.data, line.length);
    } while (written < 0 && errno == EINTR);
    buffer_free(&line);
}
