/*
 * access: who may use the topics API. Read-only after access_new; any thread.
 */
#ifndef HOOKMOON_INGRESS_ACCESS_H
#define HOOKMOON_INGRESS_ACCESS_H

#include "config/config.h"

struct access;

struct access *access_new(const struct config *c);
void access_free(struct access *a);

/*
 * May the holder of `token` (NULL: none was given) do `role` on the topic? The token is a key as
 * configured, or the base64 form of {"endpoint":..,"api_key":..} that Momento's consoles hand out.
 * On success *id is the publisher's id ("" when it has none), which lives as long as `a`.
 * ERROR_UNAUTHENTICATED, ERROR_PERMISSION.
 */
bool access_check(const struct access *a, const char *token, enum config_role role,
                  const char *cache, const char *topic, const char **id, struct error *e);

#endif
