#include "auth/identity.h"

#include <stdlib.h>

struct identity *identity_new(const char *id) {
    struct identity *i = xcalloc(1, sizeof *i);
    atomic_init(&i->references, 1);
    i->id = xstrdup(id);
    return i;
}

void identity_add(struct identity *i, enum role role, const char *cache, const char *topic,
                  bool prefix) {
    i->grants = xrealloc(i->grants, (i->grant_count + 1) * sizeof *i->grants);
    i->grants[i->grant_count++] = (struct grant){
        .role = role,
        .cache = cache != NULL ? xstrdup(cache) : NULL,
        .topic = topic != NULL ? xstrdup(topic) : NULL,
        .prefix = prefix,
    };
}

struct identity *identity_ref(struct identity *i) {
    atomic_fetch_add_explicit(&i->references, 1, memory_order_relaxed);
    return i;
}

void identity_unref(struct identity *i) {
    if (i == NULL || atomic_fetch_sub_explicit(&i->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t g = 0; g < i->grant_count; g++) {
        free(i->grants[g].cache);
        free(i->grants[g].topic);
    }
    free(i->grants);
    free(i->id);
    free(i);
}

static bool grants(const struct grant *g, enum role role, const char *cache, const char *topic) {
    if ((g->role & role) == 0 || (g->cache != NULL && strcmp(g->cache, cache) != 0))
        return false;
    if (g->topic == NULL)
        return true;
    return g->prefix ? strncmp(topic, g->topic, strlen(g->topic)) == 0
                     : strcmp(topic, g->topic) == 0;
}

bool identity_may(const struct identity *i, enum role role, const char *cache, const char *topic,
                  struct error *e) {
    bool may = i->admin;
    for (size_t g = 0; !may && g < i->grant_count; g++)
        may = grants(&i->grants[g], role, cache, topic);
    return may || error_set(e, ERROR_PERMISSION, "the key does not permit to %s there",
                            role == ROLE_PUBLISH ? "publish" : "subscribe");
}

bool identity_may_administer(const struct identity *i, struct error *e) {
    return i->admin || error_set(e, ERROR_PERMISSION,
                                 "the key does not permit to administer: it takes one "
                                 "with the role \"admin\"");
}

static const struct {
    const char *word;
    enum role role;
} words[] = {
    {"publishsubscribe", ROLE_PUBLISH_SUBSCRIBE},
    {"publishonly", ROLE_PUBLISH},
    {"subscribeonly", ROLE_SUBSCRIBE},
    {"admin", ROLE_ADMIN},
};

enum role role_parse(const char *word) {
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].word, word) == 0)
            return words[i].role;
    }
    return ROLE_NONE;
}

const char *role_word(enum role role) {
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (words[i].role == role)
            return words[i].word;
    }
    return "none";
}
