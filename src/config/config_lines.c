#include "config/config_lines.h"

#define MAX_TRACKED (4u * 1000 * 1000)
#define MAX_DEPTH   16
#define LIST_BATCH  50 /* items of a list wait in registers until there are so many */

/* Key of the registry, by address: {table -> {key -> line}}; in the inner tables the address stands
 * for the table's own line. Weak, so that it keeps no table alive. */
static const char lines_key;
/* And of {register -> value}, at the last look. */
static const char slots_key;

void config_lines_open(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &lines_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &slots_key);
}

/* Pushes {key -> line} of the table at `table`; makes it when this is the first look. */
static void push_lines(lua_State *L, int table, int line) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key);
    lua_pushvalue(L, table);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushinteger(L, line);
        lua_rawsetp(L, -2, &lines_key);
        lua_pushvalue(L, table);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
}

/*
 * The line of the field whose key and value are the two on the top, which is new in the table at
 * `table`; its {key -> line} is above that. An item of a list is stored together with those behind
 * it, long after it was written to the register behind the list's own, `slot`.
 */
static int line_of_new(const struct config_lines *lines, lua_State *L, int table, int slot) {
    if (slot == 0 || !lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1)
        return lines->line;
    int top = lua_gettop(L), line = lines->line;
    int at = slot + 1 + (int)((lua_tointeger(L, -2) - 1) % LIST_BATCH);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &slots_key);
    lua_rawgeti(L, -1, at);
    if (at < CONFIG_LINES_SLOTS && lua_rawequal(L, -1, top)) {
        lua_rawgetp(L, table + 1, &lines_key);
        int begin = (int)lua_tointeger(L, -1);
        line = lines->slots[at] >= begin ? lines->slots[at] : begin;
    }
    lua_settop(L, top);
    return line;
}

/* Notes the line for every field of the table at the top that is new since the last look. `slot` is
 * its register, 0: in none. */
static void track_table(struct config_lines *lines, lua_State *L, int slot, int depth) {
    if (depth > MAX_DEPTH || lines->tracked > MAX_TRACKED || !lua_checkstack(L, 12))
        return;
    int table = lua_gettop(L);
    push_lines(L, table, lines->line);
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        lines->tracked++;
        lua_pushvalue(L, -2);
        bool fresh = lua_rawget(L, table + 1) == LUA_TNIL;
        lua_pop(L, 1);
        if (fresh) {
            int line = line_of_new(lines, L, table, slot);
            lua_pushvalue(L, -2);
            lua_pushinteger(L, line);
            lua_rawset(L, table + 1);
        }
        if (lua_istable(L, -1))
            track_table(lines, L, 0, depth + 1);
        lua_pop(L, 1);
    }
    lua_settop(L, table);
}

/* Notes which registers of the function have changed since the last look; returns how many there
 * are. */
static int track_slots(struct config_lines *lines, lua_State *L, lua_Debug *ar) {
    int count = 0;
    while (count + 1 < CONFIG_LINES_SLOTS && lua_getlocal(L, ar, count + 1) != NULL) {
        count++;
        lua_rawgetp(L, LUA_REGISTRYINDEX, &slots_key);
        lua_rawgeti(L, -1, count);
        if (!lua_rawequal(L, -1, -3)) {
            lines->slots[count] = lines->line;
            lua_pushvalue(L, -3);
            lua_rawseti(L, -3, count);
        }
        lua_pop(L, 3);
    }
    return count;
}

static void track_function(struct config_lines *lines, lua_State *L, lua_Debug *ar) {
    if (lines->tracked > MAX_TRACKED || !lua_checkstack(L, 8))
        return;
    /* From the last register to the first, as a table under construction is behind those that will
     * hold it, and only its own register tells of its items. */
    for (int i = track_slots(lines, L, ar); i > 0; i--) {
        if (lua_getlocal(L, ar, i) == NULL)
            continue;
        if (lua_istable(L, -1))
            track_table(lines, L, i, 0);
        lua_pop(L, 1);
    }
}

void config_lines_on_event(struct config_lines *lines, lua_State *L, lua_Debug *ar) {
    lua_Debug caller;
    lua_getinfo(L, "l", ar);
    if (ar->currentline > 0)
        track_function(lines, L, ar);
    if (ar->event == LUA_HOOKLINE)
        lines->line = ar->currentline;
    else if (lua_getstack(L, 1, &caller) && lua_getinfo(L, "l", &caller) && caller.currentline > 0)
        lines->line = caller.currentline; /* there is no new line event for the rest of its line */
}

void config_lines_assign(struct config_lines *lines, lua_State *L, int table, int key, int line) {
    lua_Debug caller;
    if (lua_getstack(L, 1, &caller))
        track_function(lines, L, &caller);
    push_lines(L, table, line);
    lua_pushvalue(L, key);
    lua_pushinteger(L, line);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lines->line = line;
}

void config_lines_finish(struct config_lines *lines, lua_State *L) {
    track_table(lines, L, 0, 0);
}

/* ---- finding ---- */

/* Where the line behind or before (`step` -1) the one at `at` begins; NULL when there is none. */
static const char *neighbour(const struct config_lines *lines, const char *at, int step) {
    const char *end = lines->text + lines->length;
    if (step > 0) {
        at = memchr(at, '\n', (size_t)(end - at));
        return at != NULL ? at + 1 : NULL;
    }
    if (at == lines->text)
        return NULL;
    const char *before = memrchr(lines->text, '\n', (size_t)(at - 1 - lines->text));
    return before != NULL ? before + 1 : lines->text;
}

/* The first line with code from `line` on, in steps of 1 or -1; *start is its first character. */
static int line_with_code(const struct config_lines *lines, int line, int step, char *start) {
    const char *at = lines->text, *end = lines->text + lines->length;
    for (int i = 1; i < line && at != NULL; i++)
        at = neighbour(lines, at, 1);
    for (; at != NULL; at = neighbour(lines, at, step), line += step) {
        const char *code = at;
        while (code < end && (*code == ' ' || *code == '\t' || *code == '\r'))
            code++;
        if (code < end && *code != '\n' && !(end - code > 1 && memcmp(code, "--", 2) == 0)) {
            *start = *code;
            return line;
        }
    }
    return 0;
}

/* The line noted for the table at `table`, 0: none. */
static int noted_line(lua_State *L, int table) {
    int line = 0, top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key);
    lua_pushvalue(L, table);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
        lua_rawgetp(L, -1, &lines_key);
        line = (int)lua_tointeger(L, -1);
    }
    lua_settop(L, top);
    return line;
}

/* The line noted for the field with that key, 0: none. */
static int noted_field_line(lua_State *L, int table, int key) {
    int line = 0, top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key);
    lua_pushvalue(L, table);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
        lua_pushvalue(L, key);
        lua_rawget(L, -2);
        line = (int)lua_tointeger(L, -1);
    }
    lua_settop(L, top);
    return line;
}

/*
 * Lua makes a table on the line of the token before its brace. A brace that begins a line is
 * therefore on a later one; unless something in the table is before it, or made where it is.
 */
static int table_line(const struct config_lines *lines, lua_State *L, int table) {
    char start = '\0';
    int noted = noted_line(L, table);
    int next = noted > 0 ? line_with_code(lines, noted + 1, 1, &start) : 0;
    if (next == 0 || start != '{')
        return noted;
    bool begins_later = false;
    int top = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        bool is_table = lua_istable(L, -1);
        int line = is_table ? noted_line(L, top + 2) : noted_field_line(L, table, top + 1);
        begins_later = is_table ? line > noted : line >= next;
        lua_pop(L, 1);
        if (!begins_later)
            break;
    }
    lua_settop(L, top);
    return begins_later ? next : noted;
}

/* The last item of a list is stored on the line of the brace behind it. */
static int field_line(const struct config_lines *lines, lua_State *L, int table, int key) {
    char start = '\0';
    int line = noted_field_line(L, table, key);
    if (line > 1 && lua_isinteger(L, key) && line_with_code(lines, line, 1, &start) == line &&
        start == '}')
        line = line_with_code(lines, line - 1, -1, &start);
    return line;
}

int config_lines_find(const struct config_lines *lines, lua_State *L, int table, int key) {
    int line = 0, top = lua_gettop(L);
    if (table == 0)
        return 0;
    if (key != 0) {
        lua_pushvalue(L, key);
        lua_rawget(L, table);
        line =
            lua_istable(L, -1) ? table_line(lines, L, top + 1) : field_line(lines, L, table, key);
        lua_settop(L, top);
    }
    return line > 0 ? line : table_line(lines, L, table);
}

bool config_lines_is_twice(lua_State *L, int globals, const char *name, int table, int key) {
    int top = lua_gettop(L);
    lua_pushstring(L, name);
    int end = noted_field_line(L, globals, top + 1); /* it was assigned when it was complete */
    lua_pushvalue(L, key);
    lua_rawget(L, table);
    int made = noted_line(L, top + 2), stored = noted_field_line(L, table, key);
    lua_settop(L, top);
    return stored > 0 && stored < made && made <= end;
}
