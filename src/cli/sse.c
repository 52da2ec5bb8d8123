#include "cli/sse.h"

void sse_init(struct sse *s, void (*on_event)(void *, const char *, const char *, size_t),
              void *context) {
    *s = (struct sse){.on_event = on_event, .context = context};
}

/* Only now is the id the client's: had it counted before, a connection that is cut inside an event
 * would resume behind that event. */
static void take_id(struct sse *s) {
    if (!s->has_id)
        return;
    buffer_clear(&s->id);
    buffer_add(&s->id, buffer_string(&s->next_id), s->next_id.length);
    s->has_id = false;
}

static void dispatch(struct sse *s) {
    take_id(s);
    if (s->has_data)
        s->on_event(s->context, buffer_string(&s->name), buffer_string(&s->data), s->data.length);
    s->has_data = false;
    buffer_clear(&s->name);
    buffer_clear(&s->data);
}

static bool is_field(const char *line, size_t length, const char *name) {
    return strlen(name) == length && memcmp(line, name, length) == 0;
}

static void end_line(struct sse *s) {
    const char *line = buffer_string(&s->line);
    size_t length = s->line.length;
    if (length == 0) {
        dispatch(s);
        return;
    }
    const char *colon = memchr(line, ':', length);
    size_t name = colon != NULL ? (size_t)(colon - line) : length;
    const char *value = colon != NULL ? colon + 1 : line + length;
    if (colon != NULL && *value == ' ')
        value++;
    size_t value_length = length - (size_t)(value - line);
    if (is_field(line, name, "data")) {
        if (s->has_data)
            buffer_add_char(&s->data, '\n');
        buffer_add(&s->data, value, value_length);
        s->has_data = true;
    } else if (is_field(line, name, "event")) {
        buffer_clear(&s->name);
        buffer_add(&s->name, value, value_length);
    } else if (is_field(line, name, "id") && memchr(value, '\0', value_length) == NULL) {
        buffer_clear(&s->next_id);
        buffer_add(&s->next_id, value, value_length);
        s->has_id = true;
    } /* comments begin with the colon; retry is the caller's own affair */
    buffer_clear(&s->line);
}

void sse_feed(struct sse *s, const char *bytes, size_t length) {
    const char *end = bytes + length;
    while (bytes < end) {
        if (s->after_cr && *bytes == '\n')
            bytes++;
        s->after_cr = false;
        const char *stop = bytes;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        buffer_add(&s->line, bytes, (size_t)(stop - bytes));
        if (stop == end)
            return;
        s->after_cr = *stop == '\r';
        bytes = stop + 1;
        end_line(s);
    }
}

void sse_restart(struct sse *s) {
    s->has_data = s->has_id = s->after_cr = false;
    buffer_clear(&s->line);
    buffer_clear(&s->name);
    buffer_clear(&s->data);
}

void sse_free(struct sse *s) {
    buffer_free(&s->id);
    buffer_free(&s->line);
    buffer_free(&s->name);
    buffer_free(&s->data);
    buffer_free(&s->next_id);
}
