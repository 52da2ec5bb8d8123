/*
 * config_schema: the fields that a configuration file may have, from its evaluated globals into
 * struct config. What is wrong is reported and left at its default. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_SCHEMA_H
#define HOOKMOON_CONFIG_CONFIG_SCHEMA_H

#include "config/config.h"
#include "config/config_field.h"

#define CONFIG_SECRET_MIN 8 /* characters of a secret; fewer are guessed too soon */

void config_schema_read(const struct table *globals, struct config *c);

/* Of config_schema_read, in this order: what is later may name what is earlier. */
void config_read_caches(const struct table *globals, struct config *c);
void config_read_webhooks(const struct table *globals, struct config *c);
void config_read_keys(const struct table *globals, struct config *c);
void config_read_hooks(const struct table *globals, struct config *c);
void config_read_origins(const struct table *globals, struct config *c);
void config_read_networks(const struct table *globals, struct config *c);

/* True for "bundle" and "bundle/hook" of letters, digits, '_' and '-'. */
bool config_hook_name_is_valid(const char *name);

#endif
