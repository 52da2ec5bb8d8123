#include "net/guard.h"

#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>

/* What is no public address (IANA's special-purpose registries). */
static const char *const closed[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",    "::/128",
    "::1/128",       "64:ff9b::/96",    "64:ff9b:1::/48", "100::/64",       "2001::/23",
    "2001:db8::/32", "2002::/16",       "fc00::/7",       "fe80::/10",      "fec0::/10",
    "ff00::/8",
};

const char *guard_parse(const char *text, struct guard_network *network) {
    char host[INET6_ADDRSTRLEN];
    struct in_addr four;
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof host)
        return "is no address";
    memcpy(host, text, length);
    host[length] = '\0';
    unsigned most = 128, base = 0;
    if (inet_pton(AF_INET, host, &four) == 1) {
        static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
        memcpy(network->address, mapped, sizeof mapped);
        memcpy(network->address + 12, &four, 4);
        most = 32;
        base = 96;
    } else if (inet_pton(AF_INET6, host, network->address) != 1) {
        return "is no address: expected is one such as \"10.1.0.0/16\" or \"fd00::/8\"";
    }
    network->bits = base + most;
    if (slash == NULL)
        return NULL;
    size_t digits = strspn(slash + 1, "0123456789");
    if (digits == 0 || digits > 3 || slash[1 + digits] != '\0' ||
        strtoul(slash + 1, NULL, 10) > most)
        return "has a number of bits that is not possible";
    network->bits = base + (unsigned)strtoul(slash + 1, NULL, 10);
    return NULL;
}

static bool is_within(const unsigned char address[16], const struct guard_network *n) {
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(address, n->address, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00u >> rest);
    return rest == 0 || (address[whole] & mask) == (n->address[whole] & mask);
}

/* False: it is no internet address. */
static bool read_address(const struct sockaddr *address, struct guard_network *own) {
    *own = (struct guard_network){.bits = 128};
    if (address->sa_family == AF_INET) {
        own->address[10] = own->address[11] = 0xff;
        memcpy(own->address + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
               4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(own->address, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    } else {
        return false;
    }
    return true;
}

bool guard_is_loopback(const struct sockaddr *address) {
    struct guard_network own, four, six;
    guard_parse("127.0.0.0/8", &four);
    guard_parse("::1", &six);
    return read_address(address, &own) &&
           (is_within(own.address, &four) || is_within(own.address, &six));
}

bool guard_allows(const struct sockaddr *address, const struct guard_network *allowed,
                  size_t count) {
    struct guard_network own;
    if (!read_address(address, &own))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (is_within(own.address, &allowed[i]))
            return true;
    }
    for (size_t i = 0; i < COUNT_OF(closed); i++) {
        struct guard_network n;
        if (guard_parse(closed[i], &n) == NULL && is_within(own.address, &n))
            return false;
    }
    return true;
}
