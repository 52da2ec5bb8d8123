/* The decoder of a WebSocket's messages: whatever comes, it answers, and what it accepts is whole.
 */
#include <stdlib.h>

#include <jansson.h>

#include "ingress/socket_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The id goes back as it is: it must be JSON. */
static void check_id(const char *id) {
    json_t *json = json_loads(id, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json_is_string(json) && !json_is_integer(json))
        abort();
    json_decref(json);
}

static bool is_whole(const struct socket_message *m) {
    switch (m->verb) {
    case SOCKET_AUTH:
        return m->token != NULL;
    case SOCKET_PUBLISH:
        return m->cache != NULL && m->topic != NULL && m->value != NULL &&
               m->value[m->length] == '\0';
    case SOCKET_SUBSCRIBE:
        return m->cache != NULL && m->topic != NULL && m->id != NULL;
    case SOCKET_UNSUBSCRIBE:
        return m->id != NULL;
    case SOCKET_PING:
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct socket_message m;
    struct error e = {0};
    bool good = socket_message_parse(&m, (const char *)data, size, &e);
    if (m.id != NULL)
        check_id(m.id);
    if (good ? !is_whole(&m) : e.code != ERROR_INVALID || e.message[0] == '\0')
        abort();
    socket_message_clear(&m);
    return 0;
}
