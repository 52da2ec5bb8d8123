#include "script/bundle_version.h"

#include <fts.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "script/script_file.h"

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_lua(const FTSENT *entry) {
    return entry->fts_info == FTS_F && entry->fts_namelen > 4 &&
           strcmp(entry->fts_name + entry->fts_namelen - 4, ".lua") == 0;
}

static void add(XXH3_state_t *state, const char *name, const char *bytes, size_t length) {
    uint64_t size = length;
    XXH3_64bits_update(state, name, strlen(name) + 1);
    XXH3_64bits_update(state, &size, sizeof size);
    XXH3_64bits_update(state, bytes, length);
}

/* Below its folder, in the order of their names; what cannot be read counts as empty. */
static void add_folder(XXH3_state_t *state, const char *folder) {
    char *roots[] = {(char *)(uintptr_t)folder, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *entry; tree != NULL && (entry = fts_read(tree)) != NULL;) {
        if (!is_lua(entry))
            continue;
        struct buffer text = {0};
        struct error e;
        script_file_read(NULL, entry->fts_path, &text, &e);
        add(state, entry->fts_path + strlen(folder), buffer_string(&text), text.length);
        buffer_free(&text);
    }
    if (tree != NULL)
        fts_close(tree);
}

void bundle_version_complete(struct bundle *b) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    if (b->folder != NULL)
        add_folder(&state, b->folder);
    else
        add(&state, "", b->source, b->source_length);
    char *version = xasprintf("%s%s%016llx", b->version, b->version[0] != '\0' ? "+" : "",
                              (unsigned long long)XXH3_64bits_digest(&state));
    free(b->version);
    b->version = version;
}
