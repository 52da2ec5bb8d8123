#include "cli/moment.h"

#include <stdio.h>
#include <time.h>

#include "config/config_quantity.h"

/* Exactly `digits` digits; moves on behind them. */
static bool take_number(const char **at, int digits, int *number) {
    *number = 0;
    for (int i = 0; i < digits; i++) {
        if (**at < '0' || **at > '9')
            return false;
        *number = *number * 10 + (*(*at)++ - '0');
    }
    return true;
}

static bool take_char(const char **at, const char *one_of) {
    return **at != '\0' && strchr(one_of, *(*at)++) != NULL;
}

static bool take_date(const char **at, struct tm *tm) {
    if (!take_number(at, 4, &tm->tm_year) || !take_char(at, "-") ||
        !take_number(at, 2, &tm->tm_mon) || !take_char(at, "-") ||
        !take_number(at, 2, &tm->tm_mday))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    struct tm same = *tm;
    timegm(&same); /* which makes 30 February a day in March */
    return same.tm_mon == tm->tm_mon && same.tm_mday == tm->tm_mday;
}

static bool take_time(const char **at, struct tm *tm, int *ms) {
    if (!take_char(at, "Tt ") || !take_number(at, 2, &tm->tm_hour) || !take_char(at, ":") ||
        !take_number(at, 2, &tm->tm_min) || !take_char(at, ":") ||
        !take_number(at, 2, &tm->tm_sec) || tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
        return false;
    *ms = 0;
    if (**at != '.')
        return true;
    int weight = 100;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, weight /= 10)
        *ms += (**at - '0') * weight;
    return (*at)[-1] != '.';
}

static bool take_offset(const char **at, int *minutes) {
    int hour, minute;
    char sign = **at;
    *minutes = 0;
    if (!take_char(at, "Zz+-"))
        return false;
    if (sign == 'Z' || sign == 'z')
        return true;
    if (!take_number(at, 2, &hour) || !take_char(at, ":") || !take_number(at, 2, &minute) ||
        hour > 23 || minute > 59)
        return false;
    *minutes = (sign == '-' ? -1 : 1) * (hour * 60 + minute);
    return true;
}

bool moment_parse(const char *text, int64_t now_ms, int64_t *ms) {
    struct tm tm = {0};
    int fraction = 0, offset = 0;
    int64_t ago;
    size_t length = strlen(text);
    bool has_unit = length > 0 && (text[length - 1] < '0' || text[length - 1] > '9');
    if (has_unit && config_parse_duration(text, &ago)) {
        *ms = ago < now_ms ? now_ms - ago : 0;
        return true;
    }
    if (!take_date(&text, &tm) ||
        (*text != '\0' && (!take_time(&text, &tm, &fraction) || !take_offset(&text, &offset))) ||
        *text != '\0')
        return false;
    *ms = ((int64_t)timegm(&tm) - (int64_t)offset * 60) * 1000 + fraction;
    return true;
}

void moment_format(char text[static MOMENT_SIZE], int64_t ms) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char whole[MOMENT_SIZE - 8];
    gmtime_r(&seconds, &tm);
    strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, MOMENT_SIZE, "%s.%03dZ", whole, (int)(ms % 1000));
}
