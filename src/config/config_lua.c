#include "config/config_lua.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "base/utf8.h"
#include "config/config_box.h"

#define MEMORY_BYTES    (16u * 1024 * 1024)
#define INSTRUCTIONS    (20u * 1000 * 1000)
#define DEADLINE_NS     (5ull * 1000 * 1000 * 1000)
#define HOOK_INTERVAL   1000
#define LINE_COST       20   /* instructions that the look at a new line counts for */
#define MAX_LINES_FOUND 1000 /* each searches the whole text */

/* The chunk's name in Lua's own messages, which would cut a long path. */
#define CHUNK "config"

struct config_lua *config_lua_of(lua_State *L) {
    return *(struct config_lua **)lua_getextraspace(L);
}

/* ---- reports ---- */

/* A copy that is fit for a terminal and for JSON. */
static char *printable(const char *text) {
    char *copy = xstrdup(text);
    bool valid = utf8_valid(copy, strlen(copy));
    for (unsigned char *c = (unsigned char *)copy; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f || (*c >= 0x80 && !valid))
            *c = '?';
    }
    return copy;
}

void config_lua_problem_at(struct config_lua *c, int line, const char *field, const char *message) {
    char *where = line > 0 ? xasprintf("%s:%d", c->name, line) : xstrdup(c->name);
    char *clean_field = printable(field), *clean_message = printable(message);
    c->problems++;
    c->report(c->context, where, clean_field, clean_message);
    free(where);
    free(clean_field);
    free(clean_message);
}

void config_lua_problem(struct config_lua *c, int table, int key, const char *field,
                        const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    bool find = c->lua != NULL && c->problems < MAX_LINES_FOUND;
    config_lua_problem_at(c, find ? config_lines_find(&c->lines, c->lua, table, key) : 0, field,
                          message);
}

/* The piece of the file that Lua quotes after "near" can be (half of) a secret. What cannot: the
 * end of the file, and what has no letters and digits. */
static bool may_quote(const char *near) {
    if (strcmp(near, "<eof>") == 0)
        return true;
    for (; *near != '\0'; near++) {
        if (isalnum((unsigned char)*near) || *near == '"' || (unsigned char)*near >= 0x80)
            return false;
    }
    return true;
}

/* Reports Lua's message, which begins with "CHUNK:LINE: " unless a C function raised it. */
static void report_lua_error(struct config_lua *c, bool syntax, const char *raised) {
    static const char prefix[] = CHUNK ":";
    char *message = xstrdup(raised);
    const char *text = message;
    int line = c->lines.line;
    if (strncmp(text, prefix, sizeof prefix - 1) == 0) {
        char *end;
        long number = strtol(text + sizeof prefix - 1, &end, 10);
        if (strncmp(end, ": ", 2) == 0 && number > 0 && number < INT32_MAX) {
            line = (int)number;
            text = end + 2;
        }
    }
    char *near = syntax ? strstr(text, " near ") : NULL;
    if (near != NULL && !may_quote(near + strlen(" near ")))
        *near = '\0';
    char *constant = strstr(text, " (constant '");
    if (constant != NULL)
        *constant = '\0';
    config_lua_problem_at(c, line, "", text);
    free(message);
}

/* The error is on the top of the stack. */
static void report_failure(struct config_lua *c, int status) {
    lua_State *L = c->lua;
    c->evaluated = true;
    if (status == LUA_ERRMEM) {
        char message[64];
        snprintf(message, sizeof message, "this needs more than %u MiB of memory",
                 MEMORY_BYTES >> 20);
        config_lua_problem_at(c, c->lines.line, "", message);
    } else if (lua_isstring(L, -1)) {
        report_lua_error(c, status == LUA_ERRSYNTAX, lua_tostring(L, -1));
    } else {
        config_lua_problem_at(c, c->lines.line, "", "the file raised an error without a message");
    }
}

/* ---- evaluation ---- */

static void *allocate(void *context, void *block, size_t old_size, size_t new_size) {
    struct config_lua *c = context;
    size_t held = block != NULL ? old_size : 0; /* for a new block old_size is a type */
    if (new_size == 0) {
        free(block);
        c->memory -= held;
        return NULL;
    }
    if (!c->evaluated && new_size > held && c->memory - held + new_size > MEMORY_BYTES)
        return NULL;
    void *moved = realloc(block, new_size);
    if (moved != NULL)
        c->memory = c->memory - held + new_size;
    return moved;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
    struct config_lua *c = config_lua_of(L);
    c->instructions += ar->event == LUA_HOOKCOUNT ? HOOK_INTERVAL : LINE_COST;
    if (ar->event != LUA_HOOKCOUNT)
        config_lines_on_event(&c->lines, L, ar);
    if (c->instructions > INSTRUCTIONS || clock_mono_ns() > c->deadline_ns) {
        lua_pushliteral(L, "this runs too long for a configuration (an endless loop?)");
        lua_error(L); /* without the position that luaL_error adds: it takes the caller's */
    }
}

/* lua_CFunction: runs the chunk that is its argument and returns the table of what it assigned. */
static int evaluate(lua_State *L) {
    struct config_lua *c = config_lua_of(L);
    lua_sethook(L, on_hook, LUA_MASKCOUNT | LUA_MASKLINE | LUA_MASKRET, HOOK_INTERVAL);
    lua_call(L, 0, 0);
    lua_sethook(L, NULL, 0, 0);
    config_box_push_assigned(L);
    lua_pushnil(L);
    lua_setmetatable(L, -2);
    config_lines_finish(&c->lines, L);
    return 1;
}

bool config_lua_run(struct config_lua *c, const char *name, const char *text, size_t length,
                    config_report *report, void *context) {
    *c = (struct config_lua){.name = name, .report = report, .context = context};
    c->lines.text = text;
    c->lines.length = length;
    c->deadline_ns = clock_mono_ns() + DEADLINE_NS;
    lua_State *L = c->lua = lua_newstate(allocate, c);
    if (L == NULL) {
        config_lua_problem_at(c, 0, "", "out of memory");
        return false;
    }
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        length -= 3;
    }
    if (length > 0 && text[0] == LUA_SIGNATURE[0]) {
        config_lua_problem_at(c, 0, "", "this is compiled Lua; only source text is read");
        return false;
    }
    *(struct config_lua **)lua_getextraspace(L) = c;
    lua_pushcfunction(L, config_box_open);
    int status = lua_pcall(L, 0, 0, 0);
    if (status == LUA_OK) {
        lua_pushcfunction(L, evaluate);
        status = luaL_loadbufferx(L, text, length, "=" CHUNK, "t");
    }
    if (status == LUA_OK)
        status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK) {
        report_failure(c, status);
        return false;
    }
    c->evaluated = true;
    return true;
}

void config_lua_free(struct config_lua *c) {
    if (c->lua != NULL)
        lua_close(c->lua);
    c->lua = NULL;
}
