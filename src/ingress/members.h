/*
 * members: what a client's JSON object has, checked. Any thread.
 */
#ifndef HOOKMOON_INGRESS_MEMBERS_H
#define HOOKMOON_INGRESS_MEMBERS_H

#include <jansson.h>

#include "base/base.h"

/* Refuses members that are not in the list (which ends with NULL), with a suggestion.
 * ERROR_INVALID. */
bool members_check(const json_t *object, const char *const *known, struct error *e);
/* A member that is a string: NULL when it is absent or null. False, with ERROR_INVALID, when it is
 * something else, or missing though `required`. */
bool members_string(const json_t *object, const char *name, bool required, const char **value,
                    struct error *e);

#endif
