/*
 * /admin/caches
 */
#include "ingress/admin.h"

static bool list(struct admin_request *r, struct error *e) {
    struct cache_info *caches;
    size_t count = control_list_caches(r->control, &caches);
    json_t *array = json_array();
    (void)e;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:b, s:s, s:I}", "name", caches[i].name,
                                               "configured", caches[i].configured, "durability",
                                               caches[i].durable ? "disk" : "memory", "topics",
                                               (json_int_t)caches[i].topics));
    cache_list_free(caches, count);
    admin_reply(r, 200, json_pack("{s:o}", "caches", array));
    return true;
}

static bool create(struct admin_request *r, struct error *e) {
    const char *name, *durability = NULL;
    if (!members_string(r->body, "name", true, &name, e) ||
        !members_string(r->body, "durability", false, &durability, e))
        return false;
    bool memory = durability != NULL && strcmp(durability, "memory") == 0;
    if (durability != NULL && !memory && strcmp(durability, "disk") != 0)
        return error_set(e, ERROR_INVALID, "durability must be \"disk\" or \"memory\"");
    if (!control_create_cache(r->control, name, !memory, e))
        return false;
    admin_reply(r, 201,
                json_pack("{s:s, s:s}", "name", name, "durability", memory ? "memory" : "disk"));
    return true;
}

static bool delete (struct admin_request *r, struct error *e) {
    if (!control_delete_cache(r->control, r->names[0], e))
        return false;
    admin_reply_done(r);
    return true;
}

static bool flush(struct admin_request *r, struct error *e) {
    if (!control_flush_cache(r->control, r->names[0], e))
        return false;
    admin_reply_done(r);
    return true;
}

static const char *const members[] = {"name", "durability", NULL};

const struct admin_route admin_caches[] = {
    {"GET", "/admin/caches", NULL, list},
    {"POST", "/admin/caches", members, create},
    {"DELETE", "/admin/caches/*", NULL, delete},
    {"POST", "/admin/caches/*/flush", NULL, flush},
    {0},
};
