#include "ingress/query.h"

#include <errno.h>
#include <stdlib.h>

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *query_decode(const char *text, size_t length, char **out) {
    char *to = *out = xmalloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= length || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
                return "the path has a '%' that is not followed by two hexadecimal digits";
            c = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
            i += 2;
        }
        if (c == '\0')
            return "the path has a NUL character";
        *to++ = c;
    }
    *to = '\0';
    return NULL;
}

const char *query_split_path(const char *path, char **first, char **second) {
    *first = *second = NULL;
    const char *slash = strchr(path, '/');
    const char *defect = "the path is not /topics/{cache}/{topic}; a '/' in a name is written %2F";
    if (slash != NULL && slash > path && slash[1] != '\0' && strchr(slash + 1, '/') == NULL) {
        defect = query_decode(path, (size_t)(slash - path), first);
        if (defect == NULL)
            defect = query_decode(slash + 1, strlen(slash + 1), second);
    }
    if (defect != NULL) {
        free(*first);
        free(*second);
        *first = *second = NULL;
    }
    return defect;
}

/* Digits only, the whole of `text` up to `end`. */
static bool parse_number(const char *text, char end, uint64_t *number, const char **rest) {
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *stop;
    errno = 0;
    *number = strtoull(text, &stop, 10);
    *rest = stop;
    return errno == 0 && *stop == end;
}

bool query_resume(struct resume *resume, const char *number, const char *page,
                  const char *last_event_id, struct error *e) {
    const char *rest;
    *resume = (struct resume){0};
    if (last_event_id != NULL && last_event_id[0] != '\0') {
        if (!parse_number(last_event_id, ':', &resume->page, &rest) ||
            !parse_number(rest + 1, '\0', &resume->number, &rest) || resume->number == UINT64_MAX)
            return error_set(e, ERROR_INVALID,
                             "Last-Event-ID is not \"page:number\" as sent with an item");
        resume->number++;
        return true;
    }
    if (number != NULL && !parse_number(number, '\0', &resume->number, &rest))
        return error_set(e, ERROR_INVALID, "sequence_number is not a whole number");
    if (page != NULL && !parse_number(page, '\0', &resume->page, &rest))
        return error_set(e, ERROR_INVALID, "sequence_page is not a whole number");
    return true;
}
