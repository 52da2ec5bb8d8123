/*
 * guard: keeps destinations that were set through the API out of private networks.
 *
 * Whoever may make a webhook must not reach through us what only this machine can reach: loopback,
 * private and link-local addresses (a cloud's metadata service among them). The address is checked
 * when the connection is opened, so that no name can be pointed elsewhere after the check.
 */
#ifndef HOOKMOON_NET_GUARD_H
#define HOOKMOON_NET_GUARD_H

#include <sys/socket.h>

#include "base/base.h"

/* A network that is allowed all the same: "10.1.0.0/16", "127.0.0.1", "fd00::/8". */
struct guard_network {
    unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

/* NULL when it is one, else what is wrong with it. */
const char *guard_parse(const char *text, struct guard_network *network);

/* True when a connection to the address may be opened. */
bool guard_allows(const struct sockaddr *address, const struct guard_network *allowed,
                  size_t count);

bool guard_is_loopback(const struct sockaddr *address);

#endif
