#include "ingress/reply.h"

#include <stdarg.h>
#include <stdio.h>

void reply_json(struct http_request *r, unsigned status, const char *json) {
    http_request_reply(r, status, "application/json", json, strlen(json));
}

void reply_error_members(struct buffer *b, const char *code, const char *message) {
    buffer_add_string(b, "\"code\":");
    buffer_add_json_string(b, code, strlen(code));
    buffer_add_string(b, ",\"message\":");
    buffer_add_json_string(b, message, strlen(message));
}

void reply_error_body(struct buffer *b, const char *code, const char *message) {
    buffer_add_char(b, '{');
    reply_error_members(b, code, message);
    buffer_add_string(b, "}\n");
}

void reply_refuse(struct http_request *r, unsigned status, const char *code, const char *format,
                  ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct buffer body = {0};
    reply_error_body(&body, code, message);
    if (status == 429 || status == 503)
        http_request_set_header(r, "Retry-After", "1");
    http_request_reply(r, status, "application/json", body.data, body.length);
    buffer_free(&body);
}

void reply_error(struct http_request *r, const struct error *e) {
    reply_refuse(r, error_http_status(e->code), error_word(e->code), "%s", e->message);
}
