#include "rpc/status.h"

const char *rpc_status_word(enum rpc_status status) {
    static const char *const words[RPC_STATUS_COUNT] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    return words[status];
}

enum rpc_status rpc_status_of(const struct error *e) {
    switch (e->code) {
    case ERROR_NONE:
        return RPC_OK;
    case ERROR_INVALID:
        return RPC_INVALID_ARGUMENT;
    case ERROR_UNAUTHENTICATED:
        return RPC_UNAUTHENTICATED;
    case ERROR_PERMISSION:
        return RPC_PERMISSION_DENIED;
    case ERROR_NOT_FOUND:
        return RPC_NOT_FOUND;
    case ERROR_EXISTS:
        return RPC_ALREADY_EXISTS;
    case ERROR_TOO_LARGE:
    case ERROR_LIMIT:
    case ERROR_SUBSCRIBERS:
    case ERROR_STORAGE:
        return RPC_RESOURCE_EXHAUSTED;
    case ERROR_PRECONDITION:
        return RPC_FAILED_PRECONDITION;
    case ERROR_UNIMPLEMENTED:
        return RPC_UNIMPLEMENTED;
    case ERROR_DEADLINE:
        return RPC_DEADLINE_EXCEEDED;
    case ERROR_UNAVAILABLE:
        return RPC_UNAVAILABLE;
    case ERROR_INTERNAL:
        break;
    }
    return RPC_INTERNAL;
}

const char *rpc_status_detail(const struct error *e) {
    switch (e->code) {
    case ERROR_SUBSCRIBERS:
        return "topic_subscriptions_limit_exceeded";
    case ERROR_TOO_LARGE:
        return "request_size_limit_exceeded";
    default:
        return NULL;
    }
}

void rpc_status_encode(struct buffer *b, const char *message) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *message != '\0'; message++) {
        unsigned char c = (unsigned char)*message;
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            buffer_add_char(b, (char)c);
        } else {
            buffer_add_char(b, '%');
            buffer_add_char(b, digits[c >> 4]);
            buffer_add_char(b, digits[c & 15]);
        }
    }
}

int64_t rpc_parse_timeout(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 8 || text[digits] == '\0' || text[digits + 1] != '\0')
        return -1;
    int64_t n = 0;
    for (size_t i = 0; i < digits; i++)
        n = n * 10 + (text[i] - '0');
    switch (text[digits]) {
    case 'H':
        return n * 3600000;
    case 'M':
        return n * 60000;
    case 'S':
        return n * 1000;
    case 'm':
        return n;
    case 'u':
        return (n + 999) / 1000;
    case 'n':
        return (n + 999999) / 1000000;
    default:
        return -1;
    }
}
