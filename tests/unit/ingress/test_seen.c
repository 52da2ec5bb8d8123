/* What a restart must not forget: the events that were accepted, and how they came. */
#include "../store/fixture.h"

#include "ingress/envelope.h"
#include "ingress/seen.h"

#define WINDOW_MS 60000

static struct fingerprint print_of(struct replay *r, const char *id) {
    return replay_fingerprint_id(r, "hook", id);
}

static struct store *open_store(const struct place *p, struct seen **seen, int64_t window_ms) {
    struct error e;
    struct store *s = store_open(p->folder, true, &e);
    assert_non_null(s);
    *seen = seen_new(s, window_ms);
    return s;
}

static void start(struct store *s) {
    struct error e;
    assert_true(store_start(s, &e));
}

static void test_what_was_accepted_is_known_after_a_restart(void **state) {
    struct seen *seen;
    struct error e;
    struct replay *r = replay_new(WINDOW_MS, 1000, 7);
    struct store *s = open_store(*state, &seen, WINDOW_MS);
    start(s);
    struct transaction *t = transaction_new(NULL, NULL);
    seen_add(seen, t, print_of(r, "a"));
    seen_add(seen, t, print_of(r, "b"));
    assert_true(journal_submit_and_wait(store_journal(s), t, &e));
    seen_add_lazily(seen, print_of(r, "lazy"));
    store_close(s);
    seen_free(seen);
    s = open_store(*state, &seen, WINDOW_MS);
    assert_true(seen_restore(seen, r, &e));
    assert_int_equal(replay_begin(r, print_of(r, "a"), clock_mono_ns()), REPLAY_DONE);
    assert_int_equal(replay_begin(r, print_of(r, "b"), clock_mono_ns()), REPLAY_DONE);
    assert_int_equal(replay_begin(r, print_of(r, "lazy"), clock_mono_ns()), REPLAY_DONE);
    assert_int_equal(replay_begin(r, print_of(r, "c"), clock_mono_ns()), REPLAY_NEW);
    store_close(s);
    seen_free(seen);
    replay_free(r);
}

static bool refuse(struct change *c, struct database *db, struct error *e) {
    (void)c, (void)db;
    return error_set(e, ERROR_LIMIT, "refused for the test");
}

static void destroy(struct change *c) {
    (void)c;
}

static void test_what_was_not_accepted_may_come_again(void **state) {
    struct seen *seen;
    struct error e;
    struct replay *r = replay_new(WINDOW_MS, 1000, 7);
    struct store *s = open_store(*state, &seen, WINDOW_MS);
    struct change refusal = {.apply = refuse, .destroy = destroy};
    start(s);
    struct transaction *t = transaction_new(NULL, NULL);
    seen_add(seen, t, print_of(r, "refused"));
    transaction_add(t, &refusal, 0);
    assert_false(journal_submit_and_wait(store_journal(s), t, &e));
    store_close(s);
    seen_free(seen);
    s = open_store(*state, &seen, WINDOW_MS);
    assert_true(seen_restore(seen, r, &e));
    assert_int_equal(replay_begin(r, print_of(r, "refused"), clock_mono_ns()), REPLAY_NEW);
    store_close(s);
    seen_free(seen);
    replay_free(r);
}

static void test_it_is_forgotten_after_the_window(void **state) {
    struct seen *seen;
    struct error e;
    struct replay *r = replay_new(WINDOW_MS, 1000, 7);
    struct store *s = open_store(*state, &seen, 50);
    start(s);
    struct transaction *t = transaction_new(NULL, NULL);
    seen_add(seen, t, print_of(r, "old"));
    assert_true(journal_submit_and_wait(store_journal(s), t, &e));
    struct database *db = store_open_reader(s, &e);
    for (int i = 0; i < 10000 && number_of(db, "SELECT count(*) FROM seen") > 0; i++)
        usleep(1000);
    assert_int_equal(number_of(db, "SELECT count(*) FROM seen"), 0);
    database_close(db);
    store_close(s);
    seen_free(seen);
    replay_free(r);
}

static void test_ids_are_told_apart_by_hook(void **state) {
    (void)state;
    struct replay *r = replay_new(WINDOW_MS, 1000, 7), *other = replay_new(WINDOW_MS, 1000, 8);
    struct fingerprint a = replay_fingerprint_id(r, "a", "1");
    struct fingerprint again = replay_fingerprint_id(r, "a", "1"), b;
    assert_memory_equal(&a, &again, sizeof a);
    b = replay_fingerprint_id(r, "b", "1");
    assert_memory_not_equal(&a, &b, sizeof a);
    b = replay_fingerprint_id(r, "a1", "");
    assert_memory_not_equal(&a, &b, sizeof a);
    b = replay_fingerprint_id(other, "a", "1");
    assert_memory_not_equal(&a, &b, sizeof a);
    replay_free(r);
    replay_free(other);
}

/* ---- the request that is kept with an event ---- */

static void collect(void *context, const char *name, const char *value) {
    buffer_add_format(context, "%s=%s;", name, value);
}

/* Its headers, then its arguments. */
static void assert_pairs(const struct envelope *v, const char *expected) {
    struct buffer text = {0};
    v->request.each_header(v->request.source, collect, &text);
    v->request.each_argument(v->request.source, collect, &text);
    assert_string_equal(buffer_string(&text), expected);
    buffer_free(&text);
}

static void test_an_envelope_is_read_again(void **state) {
    (void)state;
    struct envelope v;
    struct error e;
    static const char kept[] = "{\"id\":\"r1\",\"method\":\"POST\",\"path\":\"/hooks/h/x\","
                               "\"headers\":[[\"A\",\"1\"],[\"a\",\"2\"]],"
                               "\"arguments\":[[\"q\",\"\"]]}";
    assert_true(envelope_read(&v, kept, "x", &e));
    assert_string_equal(v.request.id, "r1");
    assert_string_equal(v.request.method, "POST");
    assert_string_equal(v.request.path, "/hooks/h/x");
    assert_string_equal(v.request.hook, "x");
    assert_pairs(&v, "A=1;a=2;q=;");
    envelope_clear(&v);
}

static void test_a_damaged_envelope(void **state) {
    (void)state;
    struct envelope v;
    struct error e;
    static const char *const wrong[] = {"", "[]", "1", "{", "{} x"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(envelope_read(&v, wrong[i], "", &e));
        assert_int_equal(e.code, ERROR_INVALID);
    }
    /* What is missing or of another kind is as if it were empty. */
    assert_true(
        envelope_read(&v, "{\"id\":7,\"headers\":[[1,2],[\"a\"],\"b\",[\"c\",\"d\"]]}", "", &e));
    assert_string_equal(v.request.id, "");
    assert_pairs(&v, "c=d;");
    envelope_clear(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_place(test_what_was_accepted_is_known_after_a_restart),
        with_place(test_what_was_not_accepted_may_come_again),
        with_place(test_it_is_forgotten_after_the_window),
        cmocka_unit_test(test_ids_are_told_apart_by_hook),
        cmocka_unit_test(test_an_envelope_is_read_again),
        cmocka_unit_test(test_a_damaged_envelope),
    };
    log_setup(LOG_OFF, LOG_AUTO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
