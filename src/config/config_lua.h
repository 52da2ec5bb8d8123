/*
 * config_lua: a Lua file that is configuration: evaluated in a small box (config_box.h), while it
 * is remembered on which line each field was written (config_lines.h).
 *
 * The file assigns globals. Its memory, instructions and time are bounded. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_LUA_H
#define HOOKMOON_CONFIG_CONFIG_LUA_H

#include <lua.h>

#include "base/base.h"
#include "config/config_lines.h"

/*
 * Told of a mistake: where it is, "FILE:LINE" or "FILE"; the field's whole name, "" when it is
 * none; and what is wrong. The strings are UTF-8 without control characters and last for the call.
 */
typedef void config_report(void *context, const char *where, const char *field,
                           const char *message);

struct config_lua {
    lua_State *lua; /* after config_lua_run: its globals' table is the only thing on the stack */
    const char *name;
    config_report *report;
    void *context;
    unsigned problems; /* how many were reported */
    struct config_lines lines;
    bool evaluated; /* the file no longer runs: the memory bound is lifted for us who read */
    size_t memory;
    uint64_t instructions;
    uint64_t deadline_ns;
};

/*
 * Evaluates `text`, which is called `name` in reports and must last until config_lua_free. False
 * when it failed, which was reported; true does not mean that nothing was reported: see `problems`.
 * Free it in either case.
 */
bool config_lua_run(struct config_lua *c, const char *name, const char *text, size_t length,
                    config_report *report, void *context);
void config_lua_free(struct config_lua *c);
struct config_lua *config_lua_of(lua_State *L);

/* Reports a mistake of the field whose key is at `key` in the table at `table` (0: not known). */
void config_lua_problem(struct config_lua *c, int table, int key, const char *field,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for a line; 0: not known. */
void config_lua_problem_at(struct config_lua *c, int line, const char *field, const char *message);

#endif
