/*
 * socket_message: what a client says over a WebSocket, decoded and checked.
 *
 * A message is a JSON object whose "type" is the verb; docs/websocket.md lists them.
 */
#ifndef HOOKMOON_INGRESS_SOCKET_MESSAGE_H
#define HOOKMOON_INGRESS_SOCKET_MESSAGE_H

#include <jansson.h>

#include "base/base.h"
#include "broker/broker.h"

#define SOCKET_ID_BYTES 128

enum socket_verb {
    SOCKET_AUTH,
    SOCKET_PUBLISH,
    SOCKET_SUBSCRIBE,
    SOCKET_UNSUBSCRIBE,
    SOCKET_PING,
};

struct socket_message {
    enum socket_verb verb;
    char *id; /* as it is written in JSON; NULL: none was sent */
    const char *token;
    const char *cache, *topic;
    enum item_kind kind;
    const char *value;
    size_t length;
    struct resume resume;
    json_t *json;         /* holds the strings */
    struct buffer binary; /* holds a decoded value */
};

/* ERROR_INVALID says what is wrong; `id` is there even then, if it could be read. Clear it either
 * way. */
bool socket_message_parse(struct socket_message *m, const char *text, size_t length,
                          struct error *e);
void socket_message_clear(struct socket_message *m);

#endif
