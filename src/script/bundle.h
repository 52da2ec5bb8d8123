/*
 * bundle: a script as it lies on disk: a file NAME.lua, or a folder NAME/ with bundle.lua (the
 * manifest) and main.lua. Immutable once loaded; shared by all workers.
 */
#ifndef HOOKMOON_SCRIPT_BUNDLE_H
#define HOOKMOON_SCRIPT_BUNDLE_H

#include <jansson.h>

#include "base/base.h"

struct bundle {
    char *name;
    char *folder; /* where `require` looks; NULL for a single file */
    char *main;   /* the file with on_event */
    char *source; /* its text */
    size_t source_length;
    char *version; /* see bundle_version.h */
    char **hooks;  /* names allowed behind /hooks/NAME/; none: only /hooks/NAME */
    size_t hook_count;
    json_t *config; /* the manifest's config values, an object */
    /* The manifest's limits; 0: the gateway's. */
    size_t memory_bytes;
    uint64_t instructions;
    int64_t deadline_ms;
};

/* Letters, digits, '_' and '-': a name that is safe in a path and a URL. */
bool bundle_name_valid(const char *name, size_t length);

/* Loads one from its file or folder. */
struct bundle *bundle_load(const char *path, struct error *e);
void bundle_free(struct bundle *b);
bool bundle_has_hook(const struct bundle *b, const char *hook);

/* All bundles of a folder, by name. A broken one is reported through `problem` and left out. */
struct bundle_list {
    struct bundle **list;
    size_t count;
};
bool bundle_list_load(struct bundle_list *l, const char *folder,
                      void (*problem)(void *context, const char *path, const struct error *e),
                      void *context, struct error *e);
void bundle_list_free(struct bundle_list *l);
const struct bundle *bundle_list_find(const struct bundle_list *l, const char *name, size_t length);

#endif
