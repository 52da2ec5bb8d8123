/*
 * script: one bundle's Lua state on one worker. The only door between the rest of the program and
 * Lua: nothing outside script/ (but the configuration loader) knows lua.h.
 *
 * A state belongs to one thread and no lock is held while it runs. What a handler publishes is
 * collected here and handed to the caller after a clean return, so that it is published together or
 * not at all. A state that broke a limit is rebuilt before its next event.
 */
#ifndef HOOKMOON_SCRIPT_SCRIPT_H
#define HOOKMOON_SCRIPT_SCRIPT_H

#include <jansson.h>

#include "base/base.h"
#include "broker/broker.h"
#include "script/bundle.h"

struct script;

struct script_limits {
    size_t memory_bytes;
    uint64_t instructions;
    int64_t deadline_ms;
    unsigned publishes;
    unsigned json_depth;
    size_t message_bytes;
    const char *library; /* the folder of lua-lib, borrowed; NULL: none */
};

/* An event as the gateway decoded it. Strings are borrowed. */
struct event {
    json_t *json; /* the whole object; NULL: it has the fields below and no other */
    const char *cache;
    const char *topic;
    const char *token_id;
    const char *text;
    int64_t event_timestamp;
    int64_t publish_timestamp;
    int64_t sequence_number;
};

/* What the script sees as `request`; all borrowed for the run. */
struct script_request {
    const char *id;
    const char *method;
    const char *path;
    const char *hook; /* the part behind the bundle's name, "" when there is none */
    const char *body;
    size_t body_length;
    /* Calls `each` for every header or argument; may be NULL. */
    void (*each_header)(const void *source, void (*each)(void *, const char *, const char *),
                        void *context);
    void (*each_argument)(const void *source, void (*each)(void *, const char *, const char *),
                          void *context);
    const void *source;
};

/* What a clean run asks to be published; owned by the script, valid until its next run. */
struct script_outcome {
    const struct publish *publishes;
    size_t publish_count;
    uint64_t duration_ns;
};

/* Loads the bundle's code into a fresh state. On failure `e` has file:line and the traceback. */
struct script *script_new(const struct bundle *bundle, const struct script_limits *limits,
                          struct error *e);
void script_free(struct script *s);

/*
 * Calls on_event(event). False when it failed: `e` holds the message (file:line), and
 * script_traceback the rest; nothing is to be published then.
 */
bool script_run(struct script *s, const struct event *event, const struct script_request *request,
                struct script_outcome *outcome, struct error *e);
/* Of the last failed run; "" when there is none. */
const char *script_traceback(const struct script *s);
/* Bytes that the state holds now. */
size_t script_memory(const struct script *s);

#endif
