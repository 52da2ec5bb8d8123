/* What the tests of configuration files share. */
#ifndef HOOKMOON_TESTS_UNIT_CONFIG_TEST_H
#define HOOKMOON_TESTS_UNIT_CONFIG_TEST_H

#include "../test.h"

#include "config/config_field.h"
#include "config/config_load.h"

struct loaded {
    struct config config;
    struct buffer mistakes; /* "LINE FIELD: MESSAGE" each, on a line of its own */
    size_t count;
    bool good;
};

static void note_mistake(void *context, const char *where, const char *field, const char *message) {
    struct loaded *l = context;
    const char *line = strchr(where, ':');
    buffer_add_format(&l->mistakes, "%s %s: %s\n", line != NULL ? line + 1 : "-", field, message);
    l->count++;
}

static inline struct loaded load(const char *text) {
    struct loaded l = {0};
    config_init(&l.config);
    l.good = config_load_text(&l.config, "test.lua", text, strlen(text), note_mistake, &l);
    assert_int_equal(l.good, l.count == 0);
    return l;
}

static inline void unload(struct loaded *l) {
    config_free(&l->config);
    buffer_free(&l->mistakes);
}

/* Loads it; there must be nothing wrong. */
static inline struct loaded load_good(const char *text) {
    struct loaded l = load(text);
    assert_string_equal(buffer_string(&l.mistakes), "");
    return l;
}

/* Exactly these mistakes, in this order. */
static inline void assert_mistakes(const char *text, const char *expected) {
    struct loaded l = load(text);
    assert_string_equal(buffer_string(&l.mistakes), expected);
    unload(&l);
}

/* One mistake, which begins like this; messages may say more. */
static inline void assert_mistake(const char *text, const char *beginning) {
    struct loaded l = load(text);
    if (l.count != 1 || strncmp(buffer_string(&l.mistakes), beginning, strlen(beginning)) != 0)
        assert_string_equal(buffer_string(&l.mistakes), beginning);
    unload(&l);
}

#endif
