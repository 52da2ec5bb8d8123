#include "net/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

/* Splits "host:port" or "[v6]:port" in place. */
static bool split_address(char *address, char **host, char **port) {
    char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    *colon = '\0';
    *port = colon + 1;
    *host = address;
    size_t length = strlen(address);
    if (length > 1 && address[0] == '[' && address[length - 1] == ']') {
        address[length - 1] = '\0';
        *host = address + 1;
    } else if (strchr(address, ':') != NULL) {
        return false;
    }
    return strspn(*port, "0123456789") == strlen(*port);
}

/* SO_REUSEPORT would let a second gateway take half of the first one's connections unnoticed, so
 * the address is tried without it before. */
static bool is_free(const struct addrinfo *where) {
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    bool is = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
              bind(fd, where->ai_addr, where->ai_addrlen) == 0 || errno != EADDRINUSE;
    if (fd >= 0)
        close(fd);
    return is;
}

static int listen_on(const struct addrinfo *where) {
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, 4096) == 0)
        return fd;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

int http_listen(const char *address, bool first, struct error *e) {
    char *copy = xstrdup(address);
    char *host, *port;
    int fd = -1;
    if (!split_address(copy, &host, &port)) {
        error_set(e, ERROR_INVALID, "listen address \"%s\" is not host:port", address);
        goto done;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int failed = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &list);
    if (failed != 0) {
        error_set(e, ERROR_INVALID, "listen address \"%s\": %s", address, gai_strerror(failed));
        goto done;
    }
    if (first && !is_free(list)) {
        error_set(e, ERROR_UNAVAILABLE, "cannot listen on %s: another program does already",
                  address);
        freeaddrinfo(list);
        goto done;
    }
    fd = listen_on(list);
    if (fd < 0)
        error_set(e, ERROR_UNAVAILABLE, "cannot listen on %s: %s", address, strerror(errno));
    freeaddrinfo(list);
done:
    free(copy);
    return fd;
}

static bool bound_address(int fd, struct sockaddr_storage *bound) {
    socklen_t size = sizeof *bound;
    *bound = (struct sockaddr_storage){0};
    return getsockname(fd, (struct sockaddr *)bound, &size) == 0;
}

unsigned http_listen_port(int fd) {
    struct sockaddr_storage bound;
    if (!bound_address(fd, &bound))
        return 0;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

bool http_listen_is_loopback(int fd) {
    struct sockaddr_storage bound;
    if (!bound_address(fd, &bound))
        return false;
    if (bound.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&bound)->sin6_addr);
    return bound.ss_family == AF_INET &&
           ntohl(((struct sockaddr_in *)&bound)->sin_addr.s_addr) >> 24 == 127;
}
