/*
 * config_lua: a Lua file that is configuration: evaluated in a small box, and it is remembered on
 * which line each field was written.
 *
 * The file assigns globals. It has ipairs, pairs, tostring, tonumber, type, error, assert, select,
 * the string, table and math libraries, and env("NAME"[, default]). Memory, instructions and size
 * are bounded. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_LUA_H
#define HOOKMOON_CONFIG_CONFIG_LUA_H

#include <lua.h>

#include "base/base.h"

typedef void config_report(void *context, const char *where, const char *field,
                           const char *message);

struct config_lua {
    lua_State *lua; /* after config_lua_run: its globals' table is the only thing on the stack */
    const char *name;
    config_report *report;
    void *context;
    unsigned problems; /* how many were reported */
    size_t memory;
    bool evaluated; /* the file no longer runs: the memory bound is lifted for us who read */
    uint64_t instructions;
    uint64_t tracked; /* fields looked at while tracking lines, for its own bound */
    int line;         /* the one that is being executed */
};

/* Evaluates `text`; false when it failed, which was reported. Free it in either case. */
bool config_lua_run(struct config_lua *c, const char *name, const char *text, size_t length,
                    config_report *report, void *context);
void config_lua_free(struct config_lua *c);

/* Reports a mistake of the field whose key is at `key` in the table at `table` (0: not known). */
void config_lua_problem(struct config_lua *c, int table, int key, const char *field,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
