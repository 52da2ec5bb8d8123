/* A bundle in memory or on disk, for the tests of scripts. */
#ifndef HOOKMOON_TESTS_UNIT_SCRIPT_FIXTURE_H
#define HOOKMOON_TESTS_UNIT_SCRIPT_FIXTURE_H

#include "../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "script/script.h"

static const struct script_limits test_limits = {
    .memory_bytes = 4 << 20,
    .instructions = 5000000,
    .deadline_ms = 20000, /* time is no matter of these tests, and sanitizers take theirs */
    .publishes = 100,
    .json_depth = 32,
    .message_bytes = 64 << 10,
};

/* A fresh folder; remove_folder takes it away. */
static inline char *make_folder(void) {
    char *path = xstrdup("/tmp/hookmoon-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void remove_folder(char *path) {
    char *command = xasprintf("rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
    free(command);
    free(path);
}

/* Writes folder/name, whose own folders are made. */
static inline void write_file(const char *folder, const char *name, const char *text) {
    char *path = xasprintf("%s/%s", folder, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

/* A single-file script from its source; run_free lets go of all. */
struct run {
    char *folder;
    struct bundle *bundle;
    struct script *script;
    struct script_outcome outcome;
    struct error error;
};

static inline bool run_load(struct run *r, const char *source) {
    *r = (struct run){.folder = make_folder()};
    write_file(r->folder, "s.lua", source);
    char *path = xasprintf("%s/s.lua", r->folder);
    r->bundle = bundle_load(path, &r->error);
    free(path);
    assert_non_null(r->bundle);
    r->script = script_new(r->bundle, &test_limits, &r->error);
    return r->script != NULL;
}

/* on_event({text = text}), and the first message it published, or NULL. */
static inline const char *run_text(struct run *r, const char *text) {
    json_t *event = json_pack("{s:s}", "text", text);
    bool good =
        script_run(r->script, &(struct event){.json = event, .cache = "chat", .token_id = "ada"},
                   NULL, &r->outcome, &r->error);
    json_decref(event);
    return good && r->outcome.publish_count > 0 ? r->outcome.publishes[0].item->value : NULL;
}

static inline void run_free(struct run *r) {
    script_free(r->script);
    bundle_free(r->bundle);
    remove_folder(r->folder);
}

/* The whole in one: the first message that `source` publishes for an event. */
#define assert_publishes(source, text, expected)                                                   \
    do {                                                                                           \
        struct run r_;                                                                             \
        assert_true(run_load(&r_, source));                                                        \
        const char *got_ = run_text(&r_, text);                                                    \
        if (got_ == NULL)                                                                          \
            fail_msg("nothing was published: %s", r_.error.message);                               \
        assert_string_equal(got_, expected);                                                       \
        run_free(&r_);                                                                             \
    } while (0)

/* The event fails with a message that has `part` in it, and publishes nothing. */
#define assert_fails(source, part)                                                                 \
    do {                                                                                           \
        struct run r_;                                                                             \
        assert_true(run_load(&r_, source));                                                        \
        assert_null(run_text(&r_, "x"));                                                           \
        assert_int_equal(r_.outcome.publish_count, 0);                                             \
        if (strstr(r_.error.message, part) == NULL)                                                \
            fail_msg("\"%s\" is not in \"%s\"", part, r_.error.message);                           \
        run_free(&r_);                                                                             \
    } while (0)

#endif
