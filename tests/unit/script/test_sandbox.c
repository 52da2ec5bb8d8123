/*
 * The corpus tests/sandbox: scripts that try to get out, to hold the thread or to take all memory;
 * known holes of Lua's interpreters and of those who embed them among them. One comment of each
 * says what must become of it: "fails: WORDS" (of the error) or "publishes: TEXT". Whatever it
 * does, another bundle never notices, and the script itself is served again.
 */
#include "fixture.h"

#include <dirent.h>

#define FOLDER "tests/sandbox"

static struct run witness;

/* The instructions of test_limits, and sanitizers, would make some of these take long. */
static struct script_limits limits_of_corpus(void) {
    struct script_limits limits = test_limits;
    limits.instructions = 500000;
    return limits;
}

/* What follows `key` on a comment line, or NULL; the caller frees. */
static char *expectation(const char *source, const char *key) {
    char *start = xasprintf("-- %s:", key);
    const char *found = strstr(source, start);
    char *words = NULL;
    if (found != NULL) {
        found += strlen(start);
        found += strspn(found, " ");
        words = xstrndup(found, strcspn(found, "\n"));
    }
    free(start);
    return words;
}

static void assert_mentions(const struct error *e, const char *words) {
    if (strstr(e->message, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, e->message);
}

static void test_script(void **state) {
    struct run r = {0};
    char *path = xasprintf(FOLDER "/%s", (const char *)*state);
    r.bundle = bundle_load(path, &r.error);
    free(path);
    assert_non_null(r.bundle);
    char *fails = expectation(r.bundle->source, "fails");
    char *publishes = expectation(r.bundle->source, "publishes");
    char *refused = expectation(r.bundle->source, "does not load");
    assert_int_equal((fails != NULL) + (publishes != NULL) + (refused != NULL), 1);
    const struct script_limits limits = limits_of_corpus();
    r.script = script_new(r.bundle, &limits, &r.error);
    if (refused != NULL) {
        assert_null(r.script);
        assert_mentions(&r.error, refused);
    } else if (r.script == NULL) {
        fail_msg("%s", r.error.message);
    }
    for (int round = 0; r.script != NULL && round < 2; round++) {
        const char *text = run_text(&r, "x");
        if (publishes != NULL && round == 0)
            assert_string_equal(text != NULL ? text : r.error.message, publishes);
        if (fails != NULL) {
            assert_null(text);
            assert_int_equal(r.outcome.publish_count, 0);
            assert_mentions(&r.error, fails);
        }
        assert_true(script_memory(r.script) < 2 * test_limits.memory_bytes);
        assert_string_equal(run_text(&witness, "x"), "X 3");
    }
    script_free(r.script);
    bundle_free(r.bundle);
    free(fails);
    free(publishes);
    free(refused);
}

int main(void) {
    struct CMUnitTest tests[256];
    size_t count = 0;
    DIR *folder = opendir(FOLDER);
    if (folder == NULL)
        return 1;
    for (struct dirent *entry = readdir(folder); entry != NULL && count < COUNT_OF(tests);
         entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        char *name = xstrdup(entry->d_name);
        tests[count++] = (struct CMUnitTest){name, test_script, NULL, NULL, name};
    }
    closedir(folder);
    log_setup(LOG_OFF, LOG_AUTO);
    if (!run_load(&witness, "local n = {1, 2, 3}\n"
                            "function on_event(e) publish('t', e.text:upper() .. ' ' .. #n) end"))
        return 1;
    int failed = _cmocka_run_group_tests("sandbox", tests, count, NULL, NULL);
    run_free(&witness);
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)tests[i].name);
    return failed;
}
