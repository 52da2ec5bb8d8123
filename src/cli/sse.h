/*
 * sse: a parser of text/event-stream (WHATWG HTML, section 9.2), fed with bytes as they come.
 */
#ifndef HOOKMOON_CLI_SSE_H
#define HOOKMOON_CLI_SSE_H

#include "base/base.h"

struct sse {
    /* Called for each event that has data. `name` is "" for a plain message; strings are borrowed.
     */
    void (*on_event)(void *context, const char *name, const char *data, size_t length);
    void *context;
    struct buffer id; /* of the last event that came whole, with data or without */
    struct buffer line, name, data, next_id;
    bool has_id; /* next_id was set by the event that is coming */
    bool has_data;
    bool after_cr; /* a line feed now belongs to the line that has ended */
};

void sse_init(struct sse *s, void (*on_event)(void *, const char *, const char *, size_t),
              void *context);
void sse_feed(struct sse *s, const char *bytes, size_t length);
/* A new connection: forgets what is half done, but not the id. */
void sse_restart(struct sse *s);
void sse_free(struct sse *s);

#endif
