/*
 * config_box: what a configuration file finds around it.
 *
 * ipairs, pairs, tostring, tonumber, type, error, assert, select, the string, table and math
 * libraries, and env("NAME"[, default]). Whatever would run long inside one call, where Lua's hooks
 * cannot stop it, is bounded. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_BOX_H
#define HOOKMOON_CONFIG_CONFIG_BOX_H

#include "config/config_lua.h"

/* lua_CFunction without arguments and results: sets up a fresh state. */
int config_box_open(lua_State *L);
/* Pushes the table of the globals that the file has assigned, as a plain table. */
void config_box_push_assigned(lua_State *L);
/*
 * True when the value is made of something that is not there, a name or an environment variable.
 * That is reported when it is met, so that the values made of it need not be.
 */
bool config_box_is_unset(lua_State *L, int index);

#endif
