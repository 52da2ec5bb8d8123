#include "config/config_load.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "config/config_field.h"

#define FILE_BYTES   (1024 * 1024)
#define SECRET_BYTES 8 /* fewer characters are guessed too soon */
#define DAY_MS       86400000.0
#define GIB          1073741824.0

#define GLOBAL(member) offsetof(struct config, member)
static const struct field global_fields[] = {
    {"listen", FIELD_STRING, GLOBAL(listen), 1, 0, false},
    {"scripts", FIELD_STRING, GLOBAL(scripts), 1, 0, false},
    {"library", FIELD_STRING, GLOBAL(library), 1, 0, false},
    {"data", FIELD_STRING, GLOBAL(data), 1, 0, false},
    {"workers", FIELD_UNSIGNED, GLOBAL(workers), 1, 256, false},
    {"open", FIELD_BOOLEAN, GLOBAL(open), 0, 0, false},
    {"allow_open_public", FIELD_BOOLEAN, GLOBAL(allow_open_public), 0, 0, false},
    {.name = "log", .type = FIELD_OTHER},
    {.name = "caches", .type = FIELD_OTHER},
    {.name = "webhooks", .type = FIELD_OTHER},
    {.name = "hooks", .type = FIELD_OTHER},
    {.name = "keys", .type = FIELD_OTHER},
    {.name = "limits", .type = FIELD_OTHER},
};

#define LIMIT(member) offsetof(struct config_limits, member)
static const struct field limit_fields[] = {
    {"body", FIELD_SIZE, LIMIT(body_bytes), 1, GIB, false},
    {"message", FIELD_SIZE, LIMIT(message_bytes), 1, GIB, false},
    {"header", FIELD_SIZE, LIMIT(header_bytes), 1024, 1 << 20, false},
    {"connections", FIELD_UNSIGNED, LIMIT(connections), 1, 1e6, false},
    {"subscribers", FIELD_UNSIGNED, LIMIT(subscribers), 1, 1e7, false},
    {"topics", FIELD_UNSIGNED, LIMIT(topics), 1, 1e8, false},
    {"retained_items", FIELD_UNSIGNED, LIMIT(retained_items), 1, 1e7, false},
    {"retained", FIELD_SIZE, LIMIT(retained_bytes), 1024, 64 * GIB, false},
    {"request_timeout", FIELD_DURATION, LIMIT(request_timeout_ms), 1, DAY_MS, false},
    {"idle_timeout", FIELD_DURATION, LIMIT(idle_timeout_ms), 1000, DAY_MS, false},
    {"heartbeat", FIELD_DURATION, LIMIT(heartbeat_ms), 10, DAY_MS, false},
    {"stop_grace", FIELD_DURATION, LIMIT(stop_grace_ms), 0, DAY_MS, false},
    {"json_depth", FIELD_UNSIGNED, LIMIT(json_depth), 1, 1000, false},
    {"script_memory", FIELD_SIZE, LIMIT(script_memory_bytes), 256 << 10, 64 * GIB, false},
    {"script_instructions", FIELD_COUNT, LIMIT(script_instructions), 1000, 1e15, false},
    {"script_deadline", FIELD_DURATION, LIMIT(script_deadline_ms), 1, DAY_MS, false},
    {"script_publishes", FIELD_UNSIGNED, LIMIT(script_publishes), 0, 1e6, false},
    {"replay_events", FIELD_SIZE, LIMIT(replay_events), 1, 1e9, false},
    {"webhook_queue", FIELD_UNSIGNED, LIMIT(webhook_queue), 1, 1e7, false},
    {"webhook_concurrency", FIELD_UNSIGNED, LIMIT(webhook_concurrency), 1, 1000, false},
    {"webhook_timeout", FIELD_DURATION, LIMIT(webhook_timeout_ms), 1, DAY_MS, false},
};

#define HOOK(member) offsetof(struct config_hook, member)
static const struct field hook_fields[] = {
    {.name = "secret", .type = FIELD_OTHER},
    {.name = "secrets", .type = FIELD_OTHER},
    {"max_age", FIELD_DURATION, HOOK(max_age_ms), 1, 30 * DAY_MS, false},
    {"max_future", FIELD_DURATION, HOOK(max_future_ms), 0, 30 * DAY_MS, false},
    {"body", FIELD_SIZE, HOOK(body_bytes), 1, GIB, false},
    {"rate", FIELD_NUMBER, HOOK(rate), 0.001, 1e9, false},
};

#define WEBHOOK(member) offsetof(struct config_webhook, member)
static const struct field webhook_fields[] = {
    {"cache", FIELD_STRING, WEBHOOK(cache), 1, 0, true},
    {"name", FIELD_STRING, WEBHOOK(name), 1, 0, true},
    {"topic", FIELD_STRING, WEBHOOK(topic), 1, 0, true},
    {"url", FIELD_STRING, WEBHOOK(url), 1, 0, true},
    {"secret", FIELD_STRING, WEBHOOK(secret), SECRET_BYTES, 0, true},
};

#define KEY(member) offsetof(struct config_key, member)
static const struct field key_fields[] = {
    {"id", FIELD_STRING, KEY(id), 1, 0, true},
    {"key", FIELD_STRING, KEY(key), SECRET_BYTES, 0, true},
    {.name = "role", .type = FIELD_OTHER},
    {"cache", FIELD_STRING, KEY(cache), 1, 0, false},
    {"topic", FIELD_STRING, KEY(topic), 1, 0, false},
};

static const struct field cache_fields[] = {
    {"name", FIELD_STRING, offsetof(struct config_cache, name), 1, 0, true},
};

/* ---- lists ---- */

/* The items of the list `name`, one after the other: item is on the top of the stack. */
static void each_item(const struct table *t, const char *name, const char *what, struct config *c,
                      void (*each)(const struct table *list, struct table *item, struct config *c)) {
    lua_State *L = t->config->lua;
    if (!field_push_table(t, name, what))
        return;
    struct table list = {.config = t->config, .index = lua_gettop(L), .path = name};
    for (lua_Integer i = 1;; i++) {
        lua_pushinteger(L, i);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, list.index) == LUA_TNIL) {
            lua_pop(L, 2);
            break;
        }
        char *path = xasprintf("%s[%lld]", name, (long long)i);
        struct table item = {.config = t->config, .index = lua_gettop(L), .path = path,
                             .parent = list.index, .parent_key = lua_gettop(L) - 1};
        each(&list, &item, c);
        free(path);
        lua_settop(L, list.index);
    }
    lua_pushnil(L);
    while (lua_next(L, list.index) != 0) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1)) {
            char *path = lua_type(L, -1) == LUA_TSTRING
                             ? xasprintf("%s.%s", name, lua_tostring(L, -1))
                             : xstrdup(name);
            config_lua_problem(t->config, list.index, lua_gettop(L), path,
                               "is no item: %s is a list of tables, { {...}, {...} }", name);
            free(path);
        }
    }
    lua_settop(L, list.index - 1);
}

static bool item_is_table(const struct table *item, const char *what) {
    if (lua_istable(item->config->lua, item->index))
        return true;
    field_problem(item, NULL, "must be %s", what);
    return false;
}

static void check_name(const struct table *t, const char *field, const char *name) {
    const char *defect = name != NULL ? broker_name_defect(name, strlen(name)) : NULL;
    if (defect != NULL)
        field_problem(t, field, "%s", defect);
}

/* ---- caches ---- */

static bool has_cache(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->cache_count; i++) {
        if (strcmp(c->caches[i].name, name) == 0)
            return true;
    }
    return false;
}

static void check_cache(const struct table *t, const struct config *c, const char *name) {
    if (name != NULL && !has_cache(c, name))
        field_problem(t, "cache", "is not among caches");
}

static void add_cache(const struct table *list, struct table *item, struct config *c) {
    lua_State *L = item->config->lua;
    (void)list;
    struct config_cache cache = {0};
    if (lua_type(L, item->index) == LUA_TSTRING)
        cache.name = xstrdup(lua_tostring(L, item->index));
    else if (item_is_table(item, "a cache's name, or { name = ... }"))
        fields_read(item, cache_fields, COUNT_OF(cache_fields), &cache);
    if (cache.name == NULL)
        return;
    const char *defect = broker_name_defect(cache.name, strlen(cache.name));
    if (defect != NULL || has_cache(c, cache.name)) {
        field_problem(item, NULL, "%s", defect != NULL ? defect : "is there twice");
        free(cache.name);
        return;
    }
    c->caches = xrealloc(c->caches, (c->cache_count + 1) * sizeof cache);
    c->caches[c->cache_count++] = cache;
}

/* ---- webhooks ---- */

static bool url_is_valid(const char *url) {
    static const char *const starts[] = {"http://", "https://"};
    if (strncmp(url, "/hooks/", 7) == 0)
        return url[7] != '\0';
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        size_t length = strlen(starts[i]);
        if (strncasecmp(url, starts[i], length) == 0)
            return url[length] != '\0' && url[length] != '/' && strpbrk(url, " \t\r\n") == NULL;
    }
    return false;
}

static void add_webhook(const struct table *list, struct table *item, struct config *c) {
    (void)list;
    if (!item_is_table(item, "a table { cache =, name =, topic =, url =, secret = }"))
        return;
    struct config_webhook w = {0};
    fields_read(item, webhook_fields, COUNT_OF(webhook_fields), &w);
    check_cache(item, c, w.cache);
    check_name(item, "topic", w.topic);
    check_name(item, "name", w.name);
    if (w.url != NULL && !url_is_valid(w.url))
        field_problem(item, "url", "must be an http or https URL, or a path \"/hooks/NAME\" of this "
                                   "gateway");
    for (size_t i = 0; i < c->webhook_count && w.cache != NULL && w.name != NULL; i++) {
        const struct config_webhook *other = &c->webhooks[i];
        if (other->cache != NULL && other->name != NULL && strcmp(other->cache, w.cache) == 0 &&
            strcmp(other->name, w.name) == 0)
            field_problem(item, "name", "is there twice in this cache");
    }
    c->webhooks = xrealloc(c->webhooks, (c->webhook_count + 1) * sizeof w);
    c->webhooks[c->webhook_count++] = w;
}

/* ---- hooks ---- */

static bool hook_name_is_valid(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t first = strspn(name, letters);
    if (first == 0 || name[first] == '\0')
        return first > 0;
    size_t second = name[first] == '/' ? strspn(name + first + 1, letters) : 0;
    return second > 0 && name[first + 1 + second] == '\0';
}

/* The value on the top of the stack. */
static void add_secret(const struct table *t, const char *field, struct config_hook *h) {
    lua_State *L = t->config->lua;
    size_t length = 0;
    const char *secret = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    if (secret == NULL)
        field_problem(t, field, "must be a string%s",
                      strcmp(field, "secrets") == 0 ? " each, in a list" : "");
    else if (length < SECRET_BYTES || strlen(secret) != length)
        field_problem(t, field, "is too short: %d characters or more, none of them NUL",
                      SECRET_BYTES);
    else {
        h->secrets = xrealloc(h->secrets, (h->secret_count + 1) * sizeof(char *));
        h->secrets[h->secret_count++] = xstrdup(secret);
    }
}

static void read_secrets(const struct table *t, struct config_hook *h) {
    lua_State *L = t->config->lua;
    lua_pushliteral(L, "secret");
    bool single = lua_rawget(L, t->index) != LUA_TNIL;
    if (single)
        add_secret(t, "secret", h);
    lua_pop(L, 1);
    if (!field_push_table(t, "secrets", "a list of strings"))
        return;
    if (single)
        field_problem(t, "secrets", "excludes secret: put all of them into secrets");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        add_secret(t, "secrets", h);
        lua_pop(L, 1);
    }
    if (count == 0)
        field_problem(t, "secrets", "is empty, so nobody could call the hook");
    lua_pop(L, 1);
}

static void read_hooks(const struct table *globals, struct config *c) {
    lua_State *L = globals->config->lua;
    if (!field_push_table(globals, "hooks", "a table { NAME = { secret = ... } }"))
        return;
    int list = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, list) != 0) {
        int key = lua_gettop(L) - 1;
        const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : "?";
        char *path = strchr(name, '/') == NULL ? xasprintf("hooks.%s", name)
                                               : xasprintf("hooks[\"%s\"]", name);
        struct table t = {.config = globals->config, .index = key + 1, .path = path,
                          .parent = list, .parent_key = key};
        if (!hook_name_is_valid(name))
            field_problem(&t, NULL, "is no hook's name: \"bundle\" or \"bundle/hook\", of letters, "
                                    "digits, '_' and '-'");
        else if (item_is_table(&t, "a table { secret = ... }")) {
            struct config_hook h;
            config_hook_init(&h);
            h.name = xstrdup(name);
            fields_read(&t, hook_fields, COUNT_OF(hook_fields), &h);
            read_secrets(&t, &h);
            c->hooks = xrealloc(c->hooks, (c->hook_count + 1) * sizeof h);
            c->hooks[c->hook_count++] = h;
        }
        free(path);
        lua_settop(L, key);
    }
    lua_settop(L, list - 1);
}

/* ---- words: roles, log ---- */

struct word {
    const char *word;
    int value;
};

static const struct word roles[] = {{"publishsubscribe", CONFIG_ROLE_BOTH},
                                    {"publishonly", CONFIG_ROLE_PUBLISH},
                                    {"subscribeonly", CONFIG_ROLE_SUBSCRIBE}};
static const struct word levels[] = {{"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN},
                                     {"error", LOG_ERROR}, {"off", LOG_OFF}};
static const struct word formats[] = {{"auto", LOG_AUTO}, {"human", LOG_HUMAN}, {"json", LOG_JSON}};
static const struct field log_fields[] = {{.name = "level", .type = FIELD_OTHER},
                                          {.name = "format", .type = FIELD_OTHER}};

/* Reads one of the words; `fallback` when there is none. */
static int read_word(const struct table *t, const char *field, const struct word *words,
                     size_t count, bool required, int fallback) {
    lua_State *L = t->config->lua;
    lua_pushstring(L, field);
    int type = lua_rawget(L, t->index), value = fallback;
    bool found = false;
    for (size_t i = 0; i < count && type == LUA_TSTRING; i++) {
        if (strcmp(lua_tostring(L, -1), words[i].word) == 0) {
            value = words[i].value;
            found = true;
        }
    }
    lua_pop(L, 1);
    if (!found && (type != LUA_TNIL || required)) {
        struct buffer list = {0};
        for (size_t i = 0; i < count; i++)
            buffer_add_format(&list, "%s\"%s\"",
                              i == 0           ? ""
                              : i + 1 == count ? " or "
                                               : ", ",
                              words[i].word);
        field_problem(t, field, "%smust be %s", type == LUA_TNIL ? "is missing; it " : "",
                      list.data);
        buffer_free(&list);
    }
    return value;
}

static void add_key(const struct table *list, struct table *item, struct config *c) {
    (void)list;
    if (!item_is_table(item, "a table { id =, key =, role = }"))
        return;
    struct config_key k = {0};
    fields_read(item, key_fields, COUNT_OF(key_fields), &k);
    k.role = (enum config_role)read_word(item, "role", roles, COUNT_OF(roles), true, 0);
    check_cache(item, c, k.cache);
    check_name(item, "topic", k.topic);
    for (size_t i = 0; i < c->key_count; i++) {
        if (k.id != NULL && c->keys[i].id != NULL && strcmp(c->keys[i].id, k.id) == 0)
            field_problem(item, "id", "is there twice");
        if (k.key != NULL && c->keys[i].key != NULL && strcmp(c->keys[i].key, k.key) == 0)
            field_problem(item, "key", "is the same as another's");
    }
    c->keys = xrealloc(c->keys, (c->key_count + 1) * sizeof k);
    c->keys[c->key_count++] = k;
}

static void read_log(const struct table *globals, struct config *c) {
    lua_State *L = globals->config->lua;
    if (!field_push_table(globals, "log", "a table { level =, format = }"))
        return;
    struct table t = {.config = globals->config, .index = lua_gettop(L), .path = "log"};
    fields_read(&t, log_fields, COUNT_OF(log_fields), c);
    c->log_level = (enum log_level)read_word(&t, "level", levels, COUNT_OF(levels), false,
                                             (int)c->log_level);
    c->log_format = (enum log_format)read_word(&t, "format", formats, COUNT_OF(formats), false,
                                               (int)c->log_format);
    lua_pop(L, 1);
}

static void read_limits(const struct table *globals, struct config *c) {
    lua_State *L = globals->config->lua;
    if (!field_push_table(globals, "limits", "a table { body = ..., ... }"))
        return;
    struct table t = {.config = globals->config, .index = lua_gettop(L), .path = "limits"};
    fields_read(&t, limit_fields, COUNT_OF(limit_fields), &c->limits);
    lua_pop(L, 1);
}

/* ---- the whole ---- */

static bool listen_is_valid(const char *address) {
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5 || strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    return memchr(address, ':', (size_t)(colon - address)) == NULL ||
           (address[0] == '[' && colon[-1] == ']');
}

static void read_all(const struct table *globals, struct config *c) {
    fields_read(globals, global_fields, COUNT_OF(global_fields), c);
    if (!listen_is_valid(c->listen))
        field_problem(globals, "listen", "must be HOST:PORT, such as \"127.0.0.1:8080\" or "
                                         "\"[::1]:8080\"");
    read_log(globals, c);
    read_limits(globals, c);
    each_item(globals, "caches", "a list of names, { \"chat\", ... }", c, add_cache);
    each_item(globals, "webhooks", "a list of tables, { {...}, ... }", c, add_webhook);
    each_item(globals, "keys", "a list of tables, { {...}, ... }", c, add_key);
    read_hooks(globals, c);
    if (c->open && c->key_count > 0)
        field_problem(globals, "open", "contradicts keys: no key would be asked for");
}

bool config_load_text(struct config *c, const char *name, const char *text, size_t length,
                      config_report *report, void *context) {
    struct config_lua lua;
    bool good = config_lua_run(&lua, name, text, length, report, context);
    if (good) {
        struct table globals = {.config = &lua, .index = 1, .path = ""};
        read_all(&globals, c);
        good = lua.problems == 0;
    }
    config_lua_free(&lua);
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
