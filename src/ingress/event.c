#include "ingress/event.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/json.h"

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

static const struct field {
    const char *name;
    json_type type;
    size_t string; /* where in struct event it goes, 0: nowhere */
    size_t integer;
} fields[] = {
    {"cache", JSON_STRING, offsetof(struct event, cache), 0},
    {"topic", JSON_STRING, offsetof(struct event, topic), 0},
    {"event_timestamp", JSON_INTEGER, 0, offsetof(struct event, event_timestamp)},
    {"publish_timestamp", JSON_INTEGER, 0, offsetof(struct event, publish_timestamp)},
    {"topic_sequence_number", JSON_INTEGER, 0, offsetof(struct event, sequence_number)},
    {"token_id", JSON_STRING, offsetof(struct event, token_id), 0},
    {"text", JSON_STRING, offsetof(struct event, text), 0},
};

static bool take_field(struct event *ev, const struct field *f, struct error *e) {
    json_t *value = json_object_get(ev->json, f->name);
    if (value == NULL)
        return error_set(e, ERROR_INVALID, "the event has no \"%s\"", f->name);
    if (json_typeof(value) != f->type)
        return error_set(e, ERROR_INVALID, "the event's \"%s\" is not a %s", f->name,
                         f->type == JSON_STRING ? "string" : "whole number");
    if (f->type == JSON_INTEGER) {
        int64_t number = json_integer_value(value);
        if (number < 0)
            return error_set(e, ERROR_INVALID, "the event's \"%s\" is negative", f->name);
        if (f->integer != 0)
            *(int64_t *)((char *)ev + f->integer) = number;
    } else if (f->string != 0) {
        *(const char **)((char *)ev + f->string) = json_string_value(value);
    }
    return true;
}

bool event_parse(struct event *ev, const char *body, size_t length, unsigned max_depth,
                 struct error *e) {
    *ev = (struct event){0};
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
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!take_field(ev, &fields[i], e)) {
            event_clear(ev);
            return false;
        }
    }
    return true;
}

void event_clear(struct event *ev) {
    json_decref(ev->json);
    arena.used = 0;
    *ev = (struct event){0};
}
