/*
 * config_lines: on which line of a Lua file each field of each table was written.
 *
 * Lua does not keep this. It is observed while the file runs: whenever a new line begins or a
 * function returns, what has appeared since in the tables that the running function holds was
 * written on the line before. Tables under construction are among its temporaries, which
 * lua_getlocal shows. Globals are told by whoever assigns them. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_LINES_H
#define HOOKMOON_CONFIG_CONFIG_LINES_H

#include <lua.h>

#include "base/base.h"

#define CONFIG_LINES_SLOTS 256 /* more than a Lua function's registers */

struct config_lines {
    const char *text; /* the file's, borrowed */
    size_t length;
    int line;                      /* the one that is being executed; 0: none yet */
    uint64_t tracked;              /* fields looked at; past a bound the lines become coarse */
    int slots[CONFIG_LINES_SLOTS]; /* for each register, when it last changed */
};

/* The first four may raise a Lua error, as memory is bounded. */
void config_lines_open(lua_State *L);
/* For the events LUA_HOOKLINE and LUA_HOOKRET, from a hook. */
void config_lines_on_event(struct config_lines *lines, lua_State *L, lua_Debug *ar);
/* From a C function that a Lua function calls to assign, on `line`, the field whose key is at `key`
 * in the table at `table`. */
void config_lines_assign(struct config_lines *lines, lua_State *L, int table, int key, int line);
/* Looks once more at all that the table at the top holds. */
void config_lines_finish(struct config_lines *lines, lua_State *L);

/*
 * The line of the field whose key is at `key` in the table at `table`; a field that is a table has
 * the line where that begins. `key` 0: the line of the table itself. 0 when it is not known.
 */
int config_lines_find(const struct config_lines *lines, lua_State *L, int table, int key);

/*
 * True when the field `key`, a table, of the table `table` replaced an earlier one of the same name
 * in the braces of `table`, which is the global `name` of the globals at `globals`. Seen only when
 * the two are on different lines; Lua itself takes the last without a word.
 */
bool config_lines_is_twice(lua_State *L, int globals, const char *name, int table, int key);

#endif
