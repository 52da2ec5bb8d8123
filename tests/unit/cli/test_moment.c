/* Points in time as people write them. */
#include "../test.h"

#include "cli/moment.h"

static const int64_t now = 1795428000000; /* 2026-11-23T10:00:00Z */

static void good(const char *text, int64_t expected) {
    int64_t ms = -1;
    assert_true(moment_parse(text, now, &ms));
    assert_int_equal(ms, expected);
}

static void what_people_write_is_read(void **state) {
    (void)state;
    good("2026-11-23T10:00:00Z", now);
    good("2026-11-23t10:00:00z", now);
    good("2026-11-23 10:00:00.25Z", now + 250);
    good("2026-11-23T10:00:00.123456Z", now + 123);
    good("2026-11-23T12:30:00+02:30", now);
    good("2026-11-23T02:00:00-08:00", now);
    good("2026-11-23", now - 36000000);
    good("1970-01-01", 0);
    good("2024-02-29", 1709164800000);
    good("2h", now - 7200000);
    good("7d", now - 604800000);
    good("99999999d", 0);
}

static void nothing_else_is(void **state) {
    static const char *const wrong[] = {
        "",
        "now",
        "2026",
        "2026-11",
        "2026-13-01",
        "2026-02-29",
        "2026-11-00",
        "26-11-23",
        "2026-11-23T",
        "2026-11-23T10:00:00",
        "2026-11-23T10:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:60:00Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00Zx",
        "2026-11-23T10:00:00+0200",
        "2026-11-23x",
        "-2h",
        "2 h",
        "2026-11-23T10:00:00+24:00",
    };
    int64_t ms;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(moment_parse(wrong[i], now, &ms));
}

static void what_is_written_is_read_again(void **state) {
    char text[MOMENT_SIZE];
    (void)state;
    moment_format(text, now + 7);
    assert_string_equal(text, "2026-11-23T10:00:00.007Z");
    good(text, now + 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write_is_read),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
