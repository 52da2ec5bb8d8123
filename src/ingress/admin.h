/*
 * admin: what the files of the admin API share. Internal to ingress/; the worker's thread.
 *
 * A route is a method and a path whose parts "*" stand for names. The operations are in
 * admin_caches.c, admin_webhooks.c, admin_keys.c and admin_deadletters.c; src/ingress/openapi.json
 * describes them all.
 */
#ifndef HOOKMOON_INGRESS_ADMIN_H
#define HOOKMOON_INGRESS_ADMIN_H

#include "ingress/ingress_internal.h"
#include "ingress/members.h"

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

extern const struct admin_route admin_caches[], admin_webhooks[], admin_keys[], admin_deadletters[];

/* Answers with JSON; takes the reference. */
void admin_reply(struct admin_request *r, unsigned status, json_t *json);
/* 204 */
void admin_reply_done(struct admin_request *r);

/* RFC 3339 in UTC, or JSON's null for 0. */
json_t *admin_time(int64_t seconds);

#endif
