#include "ingress/socket_message.h"

#include <stdlib.h>

#include "base/json.h"
#include "ingress/members.h"

#define DEPTH 4

/* The verbs, in the order of their enum. */
static const struct verb {
    const char *type;
    bool needs_id;
    const char *const *members;
} verbs[] = {
    {"auth", false, (const char *const[]){"type", "id", "token", NULL}},
    {"publish", false,
     (const char *const[]){"type", "id", "cache", "topic", "text", "binary", NULL}},
    {"subscribe", true,
     (const char *const[]){"type", "id", "cache", "topic", "sequence_number", "sequence_page",
                           NULL}},
    {"unsubscribe", true, (const char *const[]){"type", "id", NULL}},
    {"ping", false, (const char *const[]){"type", "id", NULL}},
};

static bool read_id(struct socket_message *m, struct error *e) {
    const json_t *id = json_object_get(m->json, "id");
    struct buffer text = {0};
    if (id == NULL)
        return true;
    if (json_is_integer(id))
        buffer_add_format(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    else if (json_is_string(id) && json_string_length(id) <= SOCKET_ID_BYTES)
        buffer_add_json_string(&text, json_string_value(id), json_string_length(id));
    else
        return error_set(e, ERROR_INVALID, "id must be a string of at most %d bytes or an integer",
                         SOCKET_ID_BYTES);
    m->id = buffer_take(&text);
    return true;
}

/* A member that is a string without NUL characters, which our names and keys have not. */
static bool read_string(const struct socket_message *m, const char *name, const char **value,
                        struct error *e) {
    if (!members_string(m->json, name, true, value, e))
        return false;
    return strlen(*value) == json_string_length(json_object_get(m->json, name)) ||
           error_set(e, ERROR_INVALID, "%s has a NUL character", name);
}

static bool read_number(const struct socket_message *m, const char *name, uint64_t *number,
                        struct error *e) {
    const json_t *member = json_object_get(m->json, name);
    *number = 0;
    if (member == NULL)
        return true;
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return error_set(e, ERROR_INVALID, "%s is not a whole number", name);
    *number = (uint64_t)json_integer_value(member);
    return true;
}

static bool read_value(struct socket_message *m, struct error *e) {
    const json_t *text = json_object_get(m->json, "text");
    const json_t *binary = json_object_get(m->json, "binary");
    const json_t *value = text != NULL ? text : binary;
    if ((text != NULL) == (binary != NULL))
        return error_set(e, ERROR_INVALID, "a message has either text or binary");
    if (!json_is_string(value))
        return error_set(e, ERROR_INVALID, "%s must be a string", text != NULL ? "text" : "binary");
    m->kind = text != NULL ? ITEM_TEXT : ITEM_BINARY;
    m->value = json_string_value(value);
    m->length = json_string_length(value);
    if (binary == NULL || m->length == 0)
        return true;
    if (!buffer_add_from_base64(&m->binary, m->value, m->length))
        return error_set(e, ERROR_INVALID,
                         "binary is not base64 of the standard alphabet with its padding");
    m->value = m->binary.data;
    m->length = m->binary.length;
    return true;
}

static bool read_verb(struct socket_message *m, struct error *e) {
    const char *type;
    if (!read_string(m, "type", &type, e))
        return false;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(type, verbs[i].type) == 0) {
            m->verb = (enum socket_verb)i;
            return true;
        }
    }
    return error_set(e, ERROR_INVALID,
                     "the type \"%.64s\" is not known; there are auth, publish, subscribe, "
                     "unsubscribe and ping",
                     type);
}

static bool read_members(struct socket_message *m, struct error *e) {
    const struct verb *verb = &verbs[m->verb];
    if (!members_check(m->json, verb->members, e))
        return false;
    if (verb->needs_id && m->id == NULL)
        return error_set(e, ERROR_INVALID, "id is missing");
    switch (m->verb) {
    case SOCKET_AUTH:
        return read_string(m, "token", &m->token, e);
    case SOCKET_PUBLISH:
        return read_string(m, "cache", &m->cache, e) && read_string(m, "topic", &m->topic, e) &&
               read_value(m, e);
    case SOCKET_SUBSCRIBE:
        return read_string(m, "cache", &m->cache, e) && read_string(m, "topic", &m->topic, e) &&
               read_number(m, "sequence_number", &m->resume.number, e) &&
               read_number(m, "sequence_page", &m->resume.page, e);
    case SOCKET_UNSUBSCRIBE:
    case SOCKET_PING:
        break;
    }
    return true;
}

bool socket_message_parse(struct socket_message *m, const char *text, size_t length,
                          struct error *e) {
    json_error_t why;
    *m = (struct socket_message){0};
    if (json_nested_deeper(text, length, DEPTH))
        return error_set(e, ERROR_INVALID, "the message is nested too deep");
    m->json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (m->json == NULL)
        return error_set(e, ERROR_INVALID, "the message is no JSON: %s", why.text);
    if (!json_is_object(m->json))
        return error_set(e, ERROR_INVALID, "the message must be an object");
    return read_id(m, e) && read_verb(m, e) && read_members(m, e);
}

void socket_message_clear(struct socket_message *m) {
    json_decref(m->json);
    buffer_free(&m->binary);
    free(m->id);
    *m = (struct socket_message){0};
}
