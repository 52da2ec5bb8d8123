#include "../test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/guard.h"

static bool allows(const char *text, const struct guard_network *allowed, size_t count) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return guard_allows((struct sockaddr *)&four, allowed, count);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return guard_allows((struct sockaddr *)&six, allowed, count);
}

static void test_private_addresses_are_kept_out(void **state) {
    static const char *const closed[] = {"127.0.0.1",
                                         "127.255.1.1",
                                         "10.0.0.1",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.168.1.1",
                                         "169.254.169.254",
                                         "0.0.0.0",
                                         "100.64.0.1",
                                         "224.0.0.1",
                                         "255.255.255.255",
                                         "::1",
                                         "::",
                                         "fd00::1",
                                         "fe80::1",
                                         "::ffff:127.0.0.1",
                                         "ff02::1",
                                         "::ffff:10.0.0.1",
                                         "64:ff9b::7f00:1"};
    static const char *const open[] = {"1.1.1.1", "172.32.0.1", "8.8.8.8", "2606:4700::1111",
                                       "::ffff:8.8.8.8"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(closed); i++)
        assert_false(allows(closed[i], NULL, 0));
    for (size_t i = 0; i < COUNT_OF(open); i++)
        assert_true(allows(open[i], NULL, 0));
}

static void test_networks_can_be_allowed(void **state) {
    struct guard_network n[2];
    (void)state;
    assert_null(guard_parse("10.1.0.0/16", &n[0]));
    assert_null(guard_parse("fd00::/8", &n[1]));
    assert_true(allows("10.1.2.3", n, 2));
    assert_false(allows("10.2.2.3", n, 2));
    assert_true(allows("fd12::1", n, 2));
    assert_null(guard_parse("127.0.0.1", &n[0]));
    assert_true(allows("127.0.0.1", n, 1));
    assert_false(allows("127.0.0.2", n, 1));
    static const char *const wrong[] = {"",          "x",        "10.0.0.0/33", "::/129",
                                        "10.0.0.0/", "10.0.0/8", "1.2.3.4/8x",  "fd00::/-1"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_non_null(guard_parse(wrong[i], &n[0]));
}

/* The first and the last address of each closed network, and its neighbours. */
static void test_edges(void **state) {
    static const char *const edges[][2] = {
        {"9.255.255.255", "10.0.0.0"},      {"11.0.0.0", "10.255.255.255"},
        {"126.255.255.255", "127.0.0.0"},   {"128.0.0.0", "127.255.255.255"},
        {"172.15.255.255", "172.16.0.0"},   {"172.32.0.0", "172.31.255.255"},
        {"192.167.255.255", "192.168.0.0"}, {"192.169.0.0", "192.168.255.255"},
        {"169.253.255.255", "169.254.0.0"}, {"169.255.0.0", "169.254.255.255"},
        {"100.63.255.255", "100.64.0.0"},   {"100.128.0.0", "100.127.255.255"},
        {"1.0.0.0", "0.255.255.255"},       {"223.255.255.255", "224.0.0.0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        char *mapped = xasprintf("::ffff:%s", edges[i][1]);
        assert_true(allows(edges[i][0], NULL, 0));
        assert_false(allows(edges[i][1], NULL, 0));
        assert_false(allows(mapped, NULL, 0)); /* and written as IPv6 */
        free(mapped);
    }
}

static void test_allowing_everything_is_allowing_everything(void **state) {
    struct guard_network n[2];
    (void)state;
    assert_null(guard_parse("0.0.0.0/0", &n[0]));
    assert_true(allows("127.0.0.1", n, 1));
    assert_false(allows("::1", n, 1)); /* of IPv4 alone */
    assert_null(guard_parse("::/0", &n[1]));
    assert_true(allows("::1", n + 1, 1));
}

static void test_other_families_are_closed(void **state) {
    struct sockaddr local = {.sa_family = AF_UNIX};
    (void)state;
    assert_false(guard_allows(&local, NULL, 0));
    assert_false(guard_is_loopback(&local));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_private_addresses_are_kept_out),
        cmocka_unit_test(test_networks_can_be_allowed),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_allowing_everything_is_allowing_everything),
        cmocka_unit_test(test_other_families_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
