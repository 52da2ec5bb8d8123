/*
 * json.encode, json.decode, json.array, json.is_array, json.null: JSON that keeps its shape.
 *
 * Decoding is jansson's. Integers stay integers and arrays are marked by their metatable, so that
 * an empty one stays one. Encoding writes straight into a buffer: jansson would print 0.1 as
 * 0.10000000000000001 and build a second tree first.
 *
 * Lua may raise in the middle (memory) and runs no code of the script's meanwhile: so the one tree
 * and the one buffer in use belong to the struct script, which outlives the error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "script/script_internal.h"

#define KEPT_BYTES 65536 /* of the encoder's buffer, from one event to the next */

static const char array_key; /* its address is the array metatable's key in the registry */

/* ---- arrays ---- */

static void mark_array(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_setmetatable(L, -2);
}

static bool is_marked(lua_State *L, int index) {
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}

/* json.array([t]) */
static int json_array_mark(lua_State *L) {
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
    } else {
        luaL_checktype(L, 1, LUA_TTABLE);
        if (lua_getmetatable(L, 1)) {
            luaL_argcheck(L, is_marked(L, 1), 1, "the table has a metatable already");
            lua_pop(L, 1);
        }
    }
    mark_array(L);
    return 1;
}

/* json.is_array(t) */
static int json_is_array_marked(lua_State *L) {
    lua_pushboolean(L, lua_istable(L, 1) && is_marked(L, 1));
    return 1;
}

/* ---- decoding ---- */

void lua_json_clear(struct script *s) {
    json_decref(s->json_value);
    s->json_value = NULL;
    if (s->json_text.capacity > KEPT_BYTES)
        buffer_free(&s->json_text);
}

static void push_object(lua_State *L, const json_t *value) {
    json_t *object = (json_t *)(uintptr_t)value; /* iterating does not change it */
    luaL_checkstack(L, 8, "JSON nested too deep");
    lua_createtable(L, 0, (int)json_object_size(value));
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        lua_pushstring(L, json_object_iter_key(at));
        lua_json_push(L, json_object_iter_value(at));
        lua_rawset(L, -3);
    }
}

static void push_array(lua_State *L, const json_t *value) {
    size_t size = json_array_size(value);
    luaL_checkstack(L, 8, "JSON nested too deep");
    lua_createtable(L, (int)size, 0);
    for (size_t i = 0; i < size; i++) {
        lua_json_push(L, json_array_get(value, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    mark_array(L);
}

void lua_json_push(lua_State *L, const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        push_object(L, value);
        break;
    case JSON_ARRAY:
        push_array(L, value);
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        break;
    case JSON_TRUE:
        lua_pushboolean(L, 1);
        break;
    case JSON_FALSE:
        lua_pushboolean(L, 0);
        break;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    }
}

static int json_decode_text(lua_State *L) {
    struct script *s = script_of(L);
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    if (length > s->limits.message_bytes)
        return luaL_error(L, "json.decode: the text has %I bytes, limits.message is %I",
                          (lua_Integer)length, (lua_Integer)s->limits.message_bytes);
    if (json_nested_deeper(text, length, s->limits.json_depth))
        return luaL_error(L, "json.decode: nested deeper than limits.json_depth = %d",
                          (int)s->limits.json_depth);
    sandbox_spend(L, length / 8);
    lua_json_clear(s);
    json_error_t why;
    s->json_value =
        json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (s->json_value == NULL)
        return luaL_error(L, "json.decode: %s (line %d, column %d)", why.text, why.line,
                          why.column);
    lua_json_push(L, s->json_value);
    lua_json_clear(s);
    return 1;
}

/* ---- encoding ---- */

struct encoder {
    lua_State *L;
    struct buffer *text;
    size_t max_bytes; /* also ends what refers to itself over many ways */
    unsigned max_depth;
};

static void encode_value(const struct encoder *e, int index, unsigned depth);

static void check_size(const struct encoder *e) {
    if (e->text->length > e->max_bytes)
        luaL_error(e->L, "json.encode: the result is longer than limits.message = %I bytes",
                   (lua_Integer)e->max_bytes);
}

static void encode_string(const struct encoder *e, int index) {
    size_t length;
    const char *text = lua_tolstring(e->L, index, &length);
    if (!utf8_valid(text, length))
        luaL_error(e->L, "json.encode: a string is not UTF-8");
    if (length > e->max_bytes)
        e->text->length += length; /* too long, whatever its escapes: not copied */
    else
        buffer_add_json_string(e->text, text, length);
    check_size(e);
}

static void encode_number(const struct encoder *e, int index) {
    char digits[40];
    if (lua_isinteger(e->L, index)) {
        snprintf(digits, sizeof digits, "%lld", (long long)lua_tointeger(e->L, index));
    } else {
        double number = lua_tonumber(e->L, index);
        if (!isfinite(number))
            luaL_error(e->L, "json.encode: %s is no JSON number",
                       isnan(number) ? "nan" : "an infinite number");
        /* The fewest digits that read back as the same number; and it stays a float. */
        for (int precision = 15; precision <= 17; precision++) {
            snprintf(digits, sizeof digits, "%.*g", precision, number);
            if (strtod(digits, NULL) == number)
                break;
        }
        if (strpbrk(digits, ".e") == NULL)
            snprintf(digits + strlen(digits), 3, ".0");
    }
    buffer_add_string(e->text, digits);
}

/* How many items an array has, or -1 when the table is an object. */
static lua_Integer array_size(const struct encoder *e, int index) {
    lua_State *L = e->L;
    bool marked = is_marked(L, index);
    lua_Integer size = (lua_Integer)lua_rawlen(L, index), count = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1)) {
            if (count > 0 || marked)
                luaL_error(L, "json.encode: a table has both items and named fields ('%s')",
                           luaL_tolstring(L, -1, NULL));
            lua_pop(L, 1);
            return -1;
        }
        lua_Integer key = lua_tointeger(L, -1);
        if (key < 1 || key > size)
            luaL_error(L, "json.encode: an array has a hole, or an item at [%I]", key);
        count++;
    }
    if (count != size)
        luaL_error(L, "json.encode: an array has a hole");
    return size == 0 && !marked ? -1 : size;
}

static void encode_array(const struct encoder *e, int index, lua_Integer size, unsigned depth) {
    buffer_add_char(e->text, '[');
    for (lua_Integer i = 1; i <= size; i++) {
        if (i > 1)
            buffer_add_char(e->text, ',');
        lua_rawgeti(e->L, index, i);
        encode_value(e, lua_gettop(e->L), depth + 1);
        lua_pop(e->L, 1);
    }
    buffer_add_char(e->text, ']');
}

struct key {
    const char *text;
    size_t length;
};

static int compare_keys(const void *a, const void *b) {
    const struct key *x = a, *y = b;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, shorter);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

/* Keys are sorted, so that equal tables give equal texts. */
static void encode_object(const struct encoder *e, int index, unsigned depth) {
    lua_State *L = e->L;
    size_t count = 0, at = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        count++;
    }
    struct key *keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "json.encode: a field's name is a %s", luaL_typename(L, -1));
        keys[at].text = lua_tolstring(L, -1, &keys[at].length); /* the table keeps it alive */
        if (memchr(keys[at].text, '\0', keys[at].length) != NULL)
            luaL_error(L, "json.encode: a field's name has a NUL in it");
        at++;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    buffer_add_char(e->text, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_add_char(e->text, ',');
        lua_pushlstring(L, keys[i].text, keys[i].length);
        encode_string(e, lua_gettop(L));
        buffer_add_char(e->text, ':');
        lua_rawget(L, index);
        encode_value(e, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    buffer_add_char(e->text, '}');
}

static void encode_value(const struct encoder *e, int index, unsigned depth) {
    lua_State *L = e->L;
    if (depth > e->max_depth)
        luaL_error(L, "json.encode: nested deeper than limits.json_depth = %d (or in a circle)",
                   (int)e->max_depth);
    luaL_checkstack(L, 8, "JSON nested too deep");
    check_size(e);
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        encode_string(e, index);
        return;
    case LUA_TNUMBER:
        encode_number(e, index);
        return;
    case LUA_TBOOLEAN:
        buffer_add_string(e->text, lua_toboolean(L, index) ? "true" : "false");
        return;
    case LUA_TNIL:
        buffer_add_string(e->text, "null");
        return;
    case LUA_TTABLE: {
        lua_Integer size = array_size(e, index);
        if (size >= 0)
            encode_array(e, index, size, depth);
        else
            encode_object(e, index, depth);
        return;
    }
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) {
            buffer_add_string(e->text, "null");
            return;
        }
        break;
    default:
        break;
    }
    luaL_error(L, "json.encode: a %s has no JSON form", luaL_typename(L, index));
}

void lua_json_encode(lua_State *L, int index) {
    struct script *s = script_of(L);
    struct encoder e = {L, &s->json_text, s->limits.message_bytes, s->limits.json_depth};
    buffer_clear(&s->json_text);
    encode_value(&e, lua_absindex(L, index), 0);
    check_size(&e);
    lua_pushlstring(L, buffer_string(&s->json_text), s->json_text.length);
    sandbox_spend(L, s->json_text.length / 8);
}

static void take(lua_State *L, double bytes, size_t *left) {
    if (!(bytes <= (double)*left))
        luaL_error(L, "cjson: the text is longer than limits.message");
    *left -= (size_t)bytes;
}

/* A walk of the values alone, each counted once for every way that leads to it. An array counts up
 * to its largest index, as lua-cjson can be told to fill its holes. */
static void count_bytes(lua_State *L, int index, unsigned depth, size_t *left) {
    if (depth > 1000)
        luaL_error(L, "cjson: nested too deep");
    take(L, lua_type(L, index) == LUA_TSTRING ? (double)lua_rawlen(L, index) : 1, left);
    if (!lua_istable(L, index))
        return;
    luaL_checkstack(L, 8, "nested too deep");
    double largest = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        int key = lua_gettop(L) - 1;
        if (lua_type(L, key) == LUA_TSTRING)
            take(L, (double)lua_rawlen(L, key), left);
        else if (lua_tonumber(L, key) > largest)
            largest = lua_tonumber(L, key);
        count_bytes(L, key + 1, depth + 1, left);
        lua_pop(L, 1);
    }
    take(L, largest, left);
}

void lua_json_bound(lua_State *L, int index) {
    size_t left = script_of(L)->limits.message_bytes;
    count_bytes(L, index, 0, &left);
}

static int json_encode_value(lua_State *L) {
    luaL_checkany(L, 1);
    lua_json_encode(L, 1);
    return 1;
}

static const luaL_Reg functions[] = {
    {"encode", json_encode_value},
    {"decode", json_decode_text},
    {"array", json_array_mark},
    {"is_array", json_is_array_marked},
    {NULL, NULL},
};

int lua_json_open(lua_State *L) {
    lua_newtable(L); /* the metatable of arrays; scripts can neither see nor change it */
    lua_pushliteral(L, "array");
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
