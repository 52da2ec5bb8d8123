#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    enum error_code code;
    unsigned status;
    const char *word;
} error_table[] = {
    {ERROR_NONE, 200, "ok"},
    {ERROR_INVALID, 400, "invalid_argument"},
    {ERROR_UNAUTHENTICATED, 401, "unauthenticated"},
    {ERROR_PERMISSION, 403, "permission_denied"},
    {ERROR_NOT_FOUND, 404, "not_found"},
    {ERROR_EXISTS, 409, "already_exists"},
    {ERROR_TOO_LARGE, 413, "payload_too_large"},
    {ERROR_LIMIT, 429, "limit_exceeded"},
    {ERROR_SUBSCRIBERS, 429, "limit_exceeded"},
    {ERROR_PRECONDITION, 409, "failed_precondition"},
    {ERROR_UNIMPLEMENTED, 501, "unimplemented"},
    {ERROR_DEADLINE, 504, "deadline_exceeded"},
    {ERROR_INTERNAL, 500, "internal"},
    {ERROR_UNAVAILABLE, 503, "unavailable"},
    {ERROR_STORAGE, 503, "storage_unavailable"},
};

bool error_set(struct error *e, enum error_code code, const char *format, ...) {
    if (e == NULL)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    e->code = code;
    return false;
}

unsigned error_http_status(enum error_code code) {
    return error_table[code].status;
}

const char *error_word(enum error_code code) {
    return error_table[code].word;
}
