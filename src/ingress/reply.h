/*
 * reply: the answers that all routes share. Errors are {"code","message"} in JSON.
 */
#ifndef HOOKMOON_INGRESS_REPLY_H
#define HOOKMOON_INGRESS_REPLY_H

#include "net/http_server.h"

void reply_json(struct http_request *r, unsigned status, const char *json);
/* Refuses with a code word and a printf message; both reach the client. */
void reply_refuse(struct http_request *r, unsigned status, const char *code, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
/* Appends {"code":..,"message":..} and a line's end. */
void reply_error_body(struct buffer *b, const char *code, const char *message);
/* Appends "code":..,"message":.. alone. */
void reply_error_members(struct buffer *b, const char *code, const char *message);
/* The same from an error: its HTTP status, word and message. */
void reply_error(struct http_request *r, const struct error *e);

#endif
