/*
 * config_load: reads a configuration file, a Lua file evaluated in a box, into struct config.
 *
 * Everything wrong is reported, not just the first; each with the file and line it is written at
 * and the field's name, e.g. ("hookmoon.lua:12", "webhooks[2].url", "must be ..."). No value is
 * ever reported, as it may be a secret. Main thread, before the workers start.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_LOAD_H
#define HOOKMOON_CONFIG_CONFIG_LOAD_H

#include "config/config.h"
#include "config/config_lua.h"

/*
 * Fills `c` (after config_init) from the file; false when anything was reported. `scripts`,
 * `library` and `data`, when relative, are taken relative to the file's folder. `c` must be freed
 * in either case.
 */
bool config_load(struct config *c, const char *path, config_report *report, void *context);
/* The same from memory; `name` stands for the path, and nothing is relative to it. */
bool config_load_text(struct config *c, const char *name, const char *text, size_t length,
                      config_report *report, void *context);

#endif
