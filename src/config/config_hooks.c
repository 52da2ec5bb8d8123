/*
 * The hooks of a configuration, by name.
 */
#include <stdlib.h>

#include "config/config_list.h"
#include "config/config_schema.h"

#define DAY_MS 86400000.0
#define GIB    1073741824.0

#define HOOK(member) offsetof(struct config_hook, member)
static const struct field hook_fields[] = {
    {.name = "secret", .type = FIELD_OTHER},
    {.name = "secrets", .type = FIELD_OTHER},
    {"max_age", FIELD_DURATION, HOOK(max_age_ms), 1, 30 * DAY_MS, false},
    {"max_future", FIELD_DURATION, HOOK(max_future_ms), 0, 30 * DAY_MS, false},
    {"body", FIELD_SIZE, HOOK(body_bytes), 0, GIB, false},
    {"rate", FIELD_NUMBER, HOOK(rate), 0, 1e9, false},
    {.name = "ack", .type = FIELD_OTHER},
    {"retries", FIELD_UNSIGNED, HOOK(retries), 0, 1000, false},
};

static const struct word acks[] = {{"processed", false}, {"received", true}};

bool config_hook_name_is_valid(const char *name) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t first = strspn(name, letters);
    if (first == 0 || name[first] == '\0')
        return first > 0;
    size_t second = name[first] == '/' ? strspn(name + first + 1, letters) : 0;
    return second > 0 && name[first + 1 + second] == '\0';
}

/* ---- secrets ---- */

static void add_secret(const struct table *item, void *context) {
    struct config_hook *h = context;
    const char *secret = list_item_string(item);
    if (secret == NULL)
        return;
    if (strlen(secret) < CONFIG_SECRET_MIN) {
        field_problem(item, NULL, "is too short: %d characters or more are asked for",
                      CONFIG_SECRET_MIN);
        return;
    }
    h->secrets = xrealloc(h->secrets, (h->secret_count + 1) * sizeof(char *));
    h->secrets[h->secret_count++] = xstrdup(secret);
}

/* `secret` is a field like others, except that there may be several. */
static void read_secrets(const struct table *t, struct config_hook *h) {
    char *single = NULL;
    const struct field field = {"secret", FIELD_STRING, 0, CONFIG_SECRET_MIN, 0, false};
    field_read(t, &field, &single);
    if (single != NULL) {
        h->secrets = xcalloc(1, sizeof(char *));
        h->secrets[h->secret_count++] = single;
    }
    if (list_read(t, "secrets", "a list of strings", add_secret, h) == 0)
        field_problem(t, "secrets", "is empty, so nobody could call the hook");
}

/* ---- the table ---- */

/* The hook's name and table are the two on the top of the stack. */
static void add_hook(const struct table *globals, const struct table *list, struct config *c) {
    lua_State *L = list->config->lua;
    int table = lua_gettop(L), key = table - 1;
    size_t length = 0;
    const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &length) : "";
    if (strlen(name) != length || !config_hook_name_is_valid(name)) {
        config_lua_problem(list->config, list->index, key, "hooks",
                           "has a key that is no hook's name: \"bundle\" or \"bundle/hook\", of "
                           "letters, digits, '_' and '-'");
        return;
    }
    char *path = field_full_name("hooks", name);
    struct table t = {.config = list->config,
                      .index = table,
                      .path = path,
                      .parent = list->index,
                      .parent_key = key};
    if (list_item_is_table(&t, "a table { secret = ... }")) {
        if (config_lines_is_twice(L, globals->index, list->path, list->index, key))
            field_problem(&t, NULL, "is there twice");
        struct config_hook h;
        config_hook_init(&h);
        h.name = xstrdup(name);
        fields_read(&t, hook_fields, COUNT_OF(hook_fields), &h);
        read_secrets(&t, &h);
        h.received = field_read_word(&t, "ack", acks, COUNT_OF(acks), false, h.received) != 0;
        c->hooks = xrealloc(c->hooks, (c->hook_count + 1) * sizeof h);
        c->hooks[c->hook_count++] = h;
    }
    free(path);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct config_hook *)a)->name, ((const struct config_hook *)b)->name);
}

void config_read_hooks(const struct table *globals, struct config *c) {
    lua_State *L = globals->config->lua;
    if (!field_push_table(globals, "hooks", "a table { NAME = { secret = ... }, ... }"))
        return;
    struct table list = {.config = globals->config, .index = lua_gettop(L), .path = "hooks"};
    lua_pushnil(L);
    while (lua_next(L, list.index) != 0) {
        add_hook(globals, &list, c);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    /* Lua's order changes from run to run. */
    if (c->hook_count > 0)
        qsort(c->hooks, c->hook_count, sizeof c->hooks[0], by_name);
}
