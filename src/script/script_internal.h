/*
 * script_internal: what the files of script/ share: the state's struct and the Lua modules'
 * openers.
 */
#ifndef HOOKMOON_SCRIPT_SCRIPT_INTERNAL_H
#define HOOKMOON_SCRIPT_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script/script.h"

#define SANDBOX_INTERVAL 1000 /* instructions between two looks at the limits */

enum script_limit { LIMIT_NONE, LIMIT_INSTRUCTIONS, LIMIT_DEADLINE, LIMIT_MEMORY };

struct script {
    const struct bundle *bundle;
    struct script_limits limits;
    lua_State *lua; /* NULL: to be rebuilt before the next run */
    size_t memory;  /* bytes that the state holds */
    /* Of the run that is under way: */
    uint64_t instructions;
    uint64_t started_ns, deadline_ns;
    enum script_limit exceeded; /* sticky: the next instruction raises again */
    bool in_event;
    const char *cache;
    const char *publisher_id;
    const struct script_request *request;
    bool request_cached; /* fields of `request` were made for this run */
    struct publish *publishes;
    size_t publish_count;
    size_t publish_room;
    struct buffer traceback;
    json_t *json_value;      /* what json.decode is turning into a table, */
    struct buffer json_text; /* and json.encode's text: here, as Lua may raise in the middle */
};

/* The script that a state belongs to. */
static inline struct script *script_of(lua_State *L) {
    return *(struct script **)lua_getextraspace(L);
}

/* sandbox.c: a new state with the capped allocator, the hook and the allow-listed libraries. */
lua_State *sandbox_new(struct script *s);
/* What to say of the limit that was exceeded. */
const char *sandbox_limit_message(const struct script *s);
/* Counts the work of a C function as instructions; raises when a limit is exceeded. */
void sandbox_spend(lua_State *L, uint64_t work);
/* Starts counting anew. */
void sandbox_begin(struct script *s);
/* Calls the function below `arguments` values; the message handler adds the traceback. */
int sandbox_call(struct script *s, int arguments, int results);

/* lua_bounds.c: puts functions with bounds in the place of some of Lua's own. */
void lua_bounds_register(lua_State *L);
/* Calls the function that a bounded one stands before (its first upvalue) with all that it was
 * given; returns how many results it left. May raise. */
int lua_bounds_call_original(lua_State *L);

/* Each pushes its module's table. */
int lua_json_open(lua_State *L);
int lua_log_open(lua_State *L);

/* lua_json.c: pushes a JSON value; may raise. */
void lua_json_push(lua_State *L, const json_t *value);
/* Lets go of what a conversion that raised left behind. */
void lua_json_clear(struct script *s);
/* Encodes the value at `index` and pushes the text; may raise. */
void lua_json_encode(lua_State *L, int index);
/* Raises when the value at `index` is larger as JSON than a message may be. */
void lua_json_bound(lua_State *L, int index);

/* lua_publish.c: sets the global `publish`. */
void lua_publish_register(lua_State *L);
void lua_publish_clear(struct script *s);
/* lua_request.c: sets the global `request`. */
void lua_request_register(lua_State *L);
/* Drops what `request` cached of the last event. Does not raise. */
void lua_request_reset(lua_State *L);
/* lua_require.c: sets the global `require`. */
void lua_require_register(lua_State *L);
/* Loads source text (never bytecode) as the chunk `name`; luaL_loadbufferx's result. */
int lua_load_text(lua_State *L, const char *text, size_t length, const char *name);

#endif
