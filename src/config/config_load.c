#include "config/config_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config_schema.h"

#define FILE_BYTES   (1024 * 1024)
#define MAX_MISTAKES 200 /* told one by one */

/* ---- mistakes, in the order of their lines ---- */

struct mistake {
    char *where, *field, *message;
    long line;
    size_t number; /* in the order found, to keep it within a line */
};

struct mistakes {
    struct mistake *list;
    size_t count;
    size_t untold; /* beyond MAX_MISTAKES */
    const char *file;
};

static void collect(void *context, const char *where, const char *field, const char *message) {
    struct mistakes *m = context;
    size_t length = strlen(m->file);
    if (m->count == MAX_MISTAKES) {
        m->untold++;
        return;
    }
    m->list = xrealloc(m->list, (m->count + 1) * sizeof m->list[0]);
    m->list[m->count] = (struct mistake){
        .where = xstrdup(where),
        .field = xstrdup(field),
        .message = xstrdup(message),
        .line = where[length] == ':' ? strtol(where + length + 1, NULL, 10) : 0,
        .number = m->count,
    };
    m->count++;
}

static int by_line(const void *a, const void *b) {
    const struct mistake *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* Reports and frees them. */
static void tell(struct mistakes *m, config_report *report, void *context) {
    if (m->count > 0)
        qsort(m->list, m->count, sizeof m->list[0], by_line);
    for (size_t i = 0; i < m->count; i++) {
        report(context, m->list[i].where, m->list[i].field, m->list[i].message);
        free(m->list[i].where);
        free(m->list[i].field);
        free(m->list[i].message);
    }
    if (m->untold > 0) {
        char message[64];
        snprintf(message, sizeof message, "has %zu more mistakes", m->untold);
        report(context, m->file, "", message);
    }
    free(m->list);
}

/* ---- reading ---- */

bool config_load_text(struct config *c, const char *name, const char *text, size_t length,
                      config_report *report, void *context) {
    struct config_lua lua;
    struct mistakes mistakes = {.file = name};
    if (config_lua_run(&lua, name, text, length, collect, &mistakes)) {
        struct table globals = {.config = &lua, .index = 1, .path = ""};
        config_schema_read(&globals, c);
    }
    bool good = lua.problems == 0;
    config_lua_free(&lua);
    tell(&mistakes, report, context);
    return good;
}

static bool read_file(const char *path, struct buffer *text, struct error *e) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(e, ERROR_NOT_FOUND, "cannot open it: %s", strerror(errno));
    size_t got;
    do {
        got = fread(buffer_reserve(text, 65536), 1, 65536, file);
        text->length += got;
        text->data[text->length] = '\0';
    } while (got > 0 && text->length <= FILE_BYTES);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return error_set(e, ERROR_INVALID, "cannot read it: %s", strerror(errno));
    return text->length <= FILE_BYTES || error_set(e, ERROR_TOO_LARGE, "it is larger than 1 MiB");
}

/* What is relative is found beside the file, wherever the gateway is started. */
static void make_relative(char **path, const char *file) {
    const char *slash = strrchr(file, '/');
    if ((*path)[0] == '/' || slash == NULL)
        return;
    char *whole = xasprintf("%.*s/%s", (int)(slash - file), file, *path);
    free(*path);
    *path = whole;
}

bool config_load(struct config *c, const char *path, config_report *report, void *context) {
    struct buffer text = {0};
    struct error e;
    free(c->file);
    c->file = xstrdup(path);
    bool good = read_file(path, &text, &e);
    if (!good)
        report(context, path, "", e.message);
    else
        good = config_load_text(c, path, text.data, text.length, report, context);
    make_relative(&c->scripts, path);
    make_relative(&c->data, path);
    make_relative(&c->library, path);
    buffer_free(&text);
    return good;
}
