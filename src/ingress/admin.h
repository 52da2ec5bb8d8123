/*
 * admin: what the files of the admin API share. Internal to ingress/; the worker's thread.
 *
 * A route is a method and a path whose parts "*" stand for names. The operations are in
 * admin_caches.c, admin_webhooks.c and admin_keys.c; src/ingress/openapi.json describes them all.
 */
#ifndef HOOKMOON_INGRESS_ADMIN_H
#define HOOKMOON_INGRESS_ADMIN_H

#include <jansson.h>

#include "ingress/ingress_internal.h"

#define ADMIN_NAMES 2

struct admin_request {
    struct ingress *ingress;
    struct http_request *request;
    struct control *control;
    char *names[ADMIN_NAMES]; /* of the path, decoded */
    json_t *body;             /* an object; NULL: none is taken */
};

struct admin_route {
    const char *method;
    const char *path;
    const char *const *members; /* of the body, ends with NULL; NULL: there is no body */
    /* Answers, or returns false with `e` filled. */
    bool (*run)(struct admin_request *r, struct error *e);
};

extern const struct admin_route admin_caches[], admin_webhooks[], admin_keys[];

/* Answers with JSON; takes the reference. */
void admin_reply(struct admin_request *r, unsigned status, json_t *json);
/* 204 */
void admin_reply_done(struct admin_request *r);

/* A member that is a string: NULL when it is absent or null, and ERROR_INVALID when it is something
 * else, or missing though `required`; false then. */
bool admin_string(const json_t *object, const char *name, bool required, const char **value,
                  struct error *e);
/* RFC 3339 in UTC, or JSON's null for 0. */
json_t *admin_time(int64_t seconds);
/* Refuses members that are not in the list, with a suggestion. */
bool admin_check_members(const json_t *object, const char *const *members, struct error *e);

#endif
