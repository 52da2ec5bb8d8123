#include "ingress/event.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"

/*
 * An event's blocks are cut from a piece of memory that belongs to its thread, in a row, and are
 * all free again with the event. What does not fit comes from malloc.
 */
#define ARENA_BYTES 8192

static _Thread_local struct {
    bool open; /* an event is being decoded */
    size_t used;
    _Alignas(max_align_t) char bytes[ARENA_BYTES];
} arena;

static void *arena_malloc(size_t size) {
    size_t whole = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    if (!arena.open || whole < size || whole > ARENA_BYTES - arena.used)
        return malloc(size);
    void *block = arena.bytes + arena.used;
    arena.used += whole;
    return block;
}

static void arena_free(void *block) {
    uintptr_t at = (uintptr_t)block, start = (uintptr_t)arena.bytes;
    if (at < start || at >= start + ARENA_BYTES)
        free(block);
}

void event_setup(void) {
#ifndef __SANITIZE_ADDRESS__ /* which watches blocks of malloc only */
    json_set_alloc_funcs(arena_malloc, arena_free);
#else
    (void)arena_malloc, (void)arena_free;
#endif
}

#define FIELD(member) offsetof(struct event, member)

/* In the order in which Momento sends them. */
static const struct field {
    const char *name;
    json_type type;
    size_t offset; /* a const char * or an int64_t of struct event */
} fields[] = {
    {"cache", JSON_STRING, FIELD(cache)},
    {"topic", JSON_STRING, FIELD(topic)},
    {"event_timestamp", JSON_INTEGER, FIELD(event_timestamp)},
    {"publish_timestamp", JSON_INTEGER, FIELD(publish_timestamp)},
    {"topic_sequence_number", JSON_INTEGER, FIELD(sequence_number)},
    {"token_id", JSON_STRING, FIELD(token_id)},
    {"text", JSON_STRING, FIELD(text)},
};

/* The row of a field's name; `expected` is where senders have it. */
static const struct field *find_field(const char *name, size_t expected) {
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const struct field *f = &fields[(expected + i) % COUNT_OF(fields)];
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static bool take_field(struct event *ev, const struct field *f, const json_t *value,
                       struct error *e) {
    if (json_typeof(value) != f->type)
        return error_set(e, ERROR_INVALID, "the event's \"%s\" is not a %s", f->name,
                         f->type == JSON_STRING ? "string" : "whole number");
    if (f->type == JSON_INTEGER) {
        int64_t number = json_integer_value(value);
        if (number < 0)
            return error_set(e, ERROR_INVALID, "the event's \"%s\" is negative", f->name);
        *(int64_t *)((char *)ev + f->offset) = number;
    } else {
        *(const char **)((char *)ev + f->offset) = json_string_value(value);
    }
    return true;
}

/* One walk over the object instead of a look-up for each name. */
static bool take_fields(struct event *ev, struct error *e) {
    bool found[COUNT_OF(fields)] = {false};
    size_t position = 0;
    for (void *at = json_object_iter(ev->json); at != NULL;
         at = json_object_iter_next(ev->json, at)) {
        const struct field *f = find_field(json_object_iter_key(at), position++);
        if (f == NULL)
            continue;
        if (!take_field(ev, f, json_object_iter_value(at), e))
            return false;
        found[f - fields] = true;
    }
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!found[i])
            return error_set(e, ERROR_INVALID, "the event has no \"%s\"", fields[i].name);
    }
    return true;
}

/* ---- the compact form ---- */

struct cursor {
    const char *at, *end;
};

static bool take_literal(struct cursor *c, const char *literal, size_t length) {
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, literal, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A string without escapes; its copy, with a NUL, lies in the arena, which is large enough. */
static bool take_string(struct cursor *c, const char **value) {
    if (c->at == c->end || *c->at != '"')
        return false;
    const char *start = c->at + 1, *stop = memchr(start, '"', (size_t)(c->end - start));
    if (stop == NULL)
        return false;
    size_t length = (size_t)(stop - start);
    unsigned char bad = 0;
    for (size_t i = 0; i < length; i++)
        bad |= (unsigned char)start[i] < 0x20 || start[i] == '\\';
    if (bad != 0 || !utf8_valid(start, length))
        return false;
    char *copy = arena.bytes + arena.used;
    memcpy(copy, start, length);
    copy[length] = '\0';
    arena.used += length + 1;
    *value = copy;
    c->at = stop + 1;
    return true;
}

/* At most 18 digits, which fit; no sign, no zero in front. */
static bool take_integer(struct cursor *c, int64_t *value) {
    const char *start = c->at;
    *value = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9' && c->at - start < 18)
        *value = *value * 10 + (*c->at++ - '0');
    return c->at > start && (*start != '0' || c->at == start + 1);
}

bool event_parse_compact(struct event *ev, const char *body, size_t length) {
#define KEY(text) text, sizeof(text) - 1
    struct cursor c = {body, body + length};
    *ev = (struct event){0};
    if (length >= ARENA_BYTES) /* the copies, with their NULs, are shorter than the body */
        return false;
    arena.used = 0;
    bool good = take_literal(&c, KEY("{\"cache\":")) && take_string(&c, &ev->cache) &&
                take_literal(&c, KEY(",\"topic\":")) && take_string(&c, &ev->topic) &&
                take_literal(&c, KEY(",\"event_timestamp\":")) &&
                take_integer(&c, &ev->event_timestamp) &&
                take_literal(&c, KEY(",\"publish_timestamp\":")) &&
                take_integer(&c, &ev->publish_timestamp) &&
                take_literal(&c, KEY(",\"topic_sequence_number\":")) &&
                take_integer(&c, &ev->sequence_number) && take_literal(&c, KEY(",\"token_id\":")) &&
                take_string(&c, &ev->token_id) && take_literal(&c, KEY(",\"text\":")) &&
                take_string(&c, &ev->text) && take_literal(&c, KEY("}")) && c.at == c.end;
    if (!good)
        event_clear(ev);
    return good;
#undef KEY
}

bool event_parse(struct event *ev, const char *body, size_t length, unsigned max_depth,
                 struct error *e) {
    if (event_parse_compact(ev, body, length))
        return true;
    if (length == 0)
        return error_set(e, ERROR_INVALID, "the body is empty; a JSON event is expected");
    if (json_nested_deeper(body, length, max_depth))
        return error_set(e, ERROR_INVALID, "the JSON is nested deeper than %u levels", max_depth);
    json_error_t why;
    /* Without JSON_ALLOW_NUL, so every string is a C string as well. */
    arena.open = true;
    ev->json = json_loadb(body, length, JSON_REJECT_DUPLICATES, &why);
    arena.open = false;
    if (ev->json == NULL) {
        event_clear(ev);
        return error_set(e, ERROR_INVALID, "the body is not valid JSON: %s (line %d, column %d)",
                         why.text, why.line, why.column);
    }
    if (!json_is_object(ev->json)) {
        event_clear(ev);
        return error_set(e, ERROR_INVALID, "the event is not a JSON object");
    }
    if (!take_fields(ev, e)) {
        event_clear(ev);
        return false;
    }
    return true;
}

void event_clear(struct event *ev) {
    json_decref(ev->json);
    arena.used = 0;
    *ev = (struct event){0};
}
