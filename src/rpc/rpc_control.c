/*
 * control_client.ScsControl: caches.
 */
#include <stdlib.h>

#include "control.pb-c.h"
#include "rpc/rpc_internal.h"

/* The three that take a cache's name and say nothing back. */
static bool with_cache(struct call *c, const uint8_t *message, size_t length,
                       bool (*act)(struct control *, const char *, struct error *),
                       struct error *e) {
    char cache[NAME_SIZE];
    Hookmoon__CacheRequest *m =
        call_unpack(&hookmoon__cache_request__descriptor, message, length, e);
    bool good = m != NULL && call_name(cache, &m->cache_name, "cache", e) &&
                act(c->rpc->shared->control, cache, e);
    call_drop(m);
    if (good)
        call_reply(c, NULL);
    return good;
}

static bool create_durable(struct control *c, const char *name, struct error *e) {
    return control_create_cache(c, name, true, e);
}

static bool create(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    return with_cache(c, message, length, create_durable, e);
}

static bool delete (struct call *c, const uint8_t *message, size_t length, struct error *e) {
    return with_cache(c, message, length, control_delete_cache, e);
}

static bool flush(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    return with_cache(c, message, length, control_flush_cache, e);
}

static bool list(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    (void)message, (void)length, (void)e;
    struct cache_info *caches;
    size_t count = control_list_caches(c->rpc->shared->control, &caches);
    Hookmoon__Cache *entries = xcalloc(count + 1, sizeof *entries);
    Hookmoon__Cache **pointers = xcalloc(count + 1, sizeof(Hookmoon__Cache *));
    for (size_t i = 0; i < count; i++) {
        hookmoon__cache__init(&entries[i]);
        entries[i].cache_name = call_bytes(caches[i].name);
        pointers[i] = &entries[i];
    }
    Hookmoon__ListCachesResponse answer = HOOKMOON__LIST_CACHES_RESPONSE__INIT;
    answer.n_cache = count;
    answer.cache = pointers;
    call_reply(c, &answer.base);
    free(pointers);
    free(entries);
    cache_list_free(caches, count);
    return true;
}

const struct method control_methods[] = {
    {"/control_client.ScsControl/CreateCache", "CreateCache", METHOD_ADMIN, false, create},
    {"/control_client.ScsControl/DeleteCache", "DeleteCache", METHOD_ADMIN, false, delete},
    {"/control_client.ScsControl/ListCaches", "ListCaches", METHOD_ADMIN, false, list},
    {"/control_client.ScsControl/FlushCache", "FlushCache", METHOD_ADMIN, false, flush},
    {0},
};
