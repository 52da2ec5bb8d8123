#include "script/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "script/bundle_manifest.h"
#include "script/bundle_version.h"
#include "script/script_file.h"

static const char suffix[] = ".lua";

bool bundle_name_valid(const char *name, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return length > 0 && length <= 100;
}

bool bundle_has_hook(const struct bundle *b, const char *hook) {
    for (size_t i = 0; i < b->hook_count; i++) {
        if (strcmp(b->hooks[i], hook) == 0)
            return true;
    }
    return false;
}

void bundle_free(struct bundle *b) {
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->hook_count; i++)
        free(b->hooks[i]);
    free(b->hooks);
    free(b->name);
    free(b->folder);
    free(b->main);
    free(b->source);
    free(b->version);
    json_decref(b->config);
    free(b);
}

/* The last part of a path, without slashes at its end. */
static char *base_name(const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return xstrndup(path + start, end - start);
}

static bool has_suffix(const char *name) {
    size_t length = strlen(name);
    return length > sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

static bool read_source(struct bundle *b, struct error *e) {
    struct buffer text = {0};
    int found = script_file_read(NULL, b->main, &text, e);
    if (found == 0)
        error_set(e, ERROR_NOT_FOUND, "%s: there is no such file", b->main);
    b->source_length = text.length;
    b->source = buffer_take(&text);
    return found > 0;
}

struct bundle *bundle_load(const char *path, struct error *e) {
    struct stat info;
    struct bundle *b = xcalloc(1, sizeof *b);
    b->name = base_name(path);
    b->version = xstrdup("");
    b->config = json_object();
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (folder) {
        b->folder = xstrndup(path, strlen(path) - (path[strlen(path) - 1] == '/'));
        b->main = xasprintf("%s/main.lua", b->folder);
    } else {
        b->main = xstrdup(path);
        if (has_suffix(b->name))
            b->name[strlen(b->name) - (sizeof suffix - 1)] = '\0';
    }
    if (!bundle_name_valid(b->name, strlen(b->name)))
        error_set(e, ERROR_INVALID, "%s: a bundle's name has letters, digits, '_' and '-' only",
                  path);
    else if ((!folder || bundle_manifest_read(b, e)) && read_source(b, e)) {
        bundle_version_complete(b);
        return b;
    }
    bundle_free(b);
    return NULL;
}

/* ---- a folder of bundles ---- */

static int compare(const void *a, const void *b) {
    return strcmp((*(struct bundle *const *)a)->name, (*(struct bundle *const *)b)->name);
}

/* What may be a bundle; event files, READMEs and hidden files are not. */
static bool is_candidate(const char *folder, const char *name) {
    if (name[0] == '.' || name[0] == '_')
        return false;
    size_t length = strlen(name);
    if (has_suffix(name))
        return length < 9 || strcmp(name + length - 9, "_test.lua") != 0;
    struct stat info;
    char *path = xasprintf("%s/%s", folder, name);
    bool is = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    free(path);
    return is;
}

static void add(struct bundle_list *l, struct bundle *b) {
    l->list = xrealloc(l->list, (l->count + 1) * sizeof(struct bundle *));
    l->list[l->count++] = b;
}

static void load_entry(struct bundle_list *l, const char *folder, const char *name,
                       void (*problem)(void *context, const char *path, const struct error *e),
                       void *context) {
    struct error why;
    char *path = xasprintf("%s/%s", folder, name);
    struct bundle *b = bundle_load(path, &why);
    if (b != NULL && bundle_list_find(l, b->name, strlen(b->name)) != NULL) {
        error_set(&why, ERROR_EXISTS, "%s: there is a file and a folder of that name", path);
        bundle_free(b);
        b = NULL;
    }
    if (b != NULL)
        add(l, b);
    else
        problem(context, path, &why);
    free(path);
}

bool bundle_list_load(struct bundle_list *l, const char *folder,
                      void (*problem)(void *context, const char *path, const struct error *e),
                      void *context, struct error *e) {
    *l = (struct bundle_list){0};
    struct dirent **entries;
    /* In order, so that of a folder and a file of one name it is always the folder that stays. */
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0)
        return error_set(e, ERROR_NOT_FOUND, "cannot open the folder of scripts, %s: %s", folder,
                         strerror(errno));
    for (int i = 0; i < count; i++) {
        if (is_candidate(folder, entries[i]->d_name))
            load_entry(l, folder, entries[i]->d_name, problem, context);
        free(entries[i]);
    }
    free(entries);
    if (l->count > 0)
        qsort(l->list, l->count, sizeof(struct bundle *), compare);
    return true;
}

void bundle_list_free(struct bundle_list *l) {
    for (size_t i = 0; i < l->count; i++)
        bundle_free(l->list[i]);
    free(l->list);
    *l = (struct bundle_list){0};
}

const struct bundle *bundle_list_find(const struct bundle_list *l, const char *name,
                                      size_t length) {
    for (size_t i = 0; i < l->count; i++) {
        if (strlen(l->list[i]->name) == length && memcmp(l->list[i]->name, name, length) == 0)
            return l->list[i];
    }
    return NULL;
}
