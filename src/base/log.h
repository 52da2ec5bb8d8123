/*
 * log: structured lines on stderr: for people on a terminal, JSON otherwise.
 *
 * A line is one write(2), so lines of different threads never mix. Values are escaped: nothing that
 * comes from outside can forge a line or an escape sequence. Never log a secret. Any thread.
 *
 *     log_info("hook accepted", LOG_STR("hook", name), LOG_INT("bytes", length));
 */
#ifndef HOOKMOON_BASE_LOG_H
#define HOOKMOON_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_AUTO, LOG_HUMAN, LOG_JSON };

struct log_field {
    const char *key; /* NULL: the field is left out */
    const char *text;
    size_t length;
    int64_t number;
    bool is_number;
};

#define LOG_STR(k, v)    ((struct log_field){.key = (k), .text = (v), .length = strlen(v)})
#define LOG_MEM(k, v, n) ((struct log_field){.key = (k), .text = (v), .length = (n)})
#define LOG_INT(k, v)    ((struct log_field){.key = (k), .number = (int64_t)(v), .is_number = true})

/* Before other threads start. LOG_AUTO is human on a terminal and JSON otherwise. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* The level's number for "debug", "info", "warn", "error" or "off"; false when it is none. */
bool log_level_parse(const char *word, enum log_level *level);

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count);

#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                 \
            log_write(level, message, log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);    \
        }                                                                                          \
    } while (0)
#define log_debug(message, ...) LOG_AT(LOG_DEBUG, message, ##__VA_ARGS__)
#define log_info(message, ...)  LOG_AT(LOG_INFO, message, ##__VA_ARGS__)
#define log_warn(message, ...)  LOG_AT(LOG_WARN, message, ##__VA_ARGS__)
#define log_error(message, ...) LOG_AT(LOG_ERROR, message, ##__VA_ARGS__)

#endif
