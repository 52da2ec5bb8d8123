#include "config/config_quantity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
    const char *word;
    uint64_t factor;
};

/* From small to large; of those with the same factor the first is written, all are read. */
static const struct unit durations[] = {{"ms", 1},    {"", 1},        {"s", 1000},
                                        {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit sizes[] = {{"", 1},         {"b", 1},       {"k", 1 << 10},
                                    {"kb", 1 << 10}, {"m", 1 << 20}, {"mb", 1 << 20},
                                    {"g", 1 << 30},  {"gb", 1 << 30}};

static bool parse(const char *text, const struct unit *units, size_t count, uint64_t *value) {
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(end, units[i].word) == 0) {
            *value = number * units[i].factor;
            return number <= INT64_MAX / units[i].factor;
        }
    }
    return false;
}

static void format(char *text, const struct unit *units, size_t count, uint64_t value) {
    const struct unit *best = &units[0];
    for (size_t i = 1; i < count && value > 0; i++) {
        if (units[i].factor > best->factor && value % units[i].factor == 0)
            best = &units[i];
    }
    snprintf(text, CONFIG_QUANTITY_SIZE, "%llu%s", (unsigned long long)(value / best->factor),
             best->word);
}

bool config_parse_duration(const char *text, int64_t *ms) {
    uint64_t value;
    if (!parse(text, durations, COUNT_OF(durations), &value))
        return false;
    *ms = (int64_t)value;
    return true;
}

bool config_parse_size(const char *text, size_t *bytes) {
    uint64_t value;
    if (!parse(text, sizes, COUNT_OF(sizes), &value))
        return false;
    *bytes = (size_t)value;
    return true;
}

void config_format_duration(char text[static CONFIG_QUANTITY_SIZE], int64_t ms) {
    format(text, durations, COUNT_OF(durations), (uint64_t)ms);
}

void config_format_size(char text[static CONFIG_QUANTITY_SIZE], size_t bytes) {
    format(text, sizes, COUNT_OF(sizes), bytes);
}
