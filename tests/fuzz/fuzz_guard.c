/* Networks of the configuration, and addresses they allow. */
#include <netinet/in.h>
#include <stdlib.h>

#include "net/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 16 bytes of an address, then the text of a network. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    struct guard_network network;
    if (size < sizeof address.sin6_addr)
        return 0;
    memcpy(&address.sin6_addr, data, sizeof address.sin6_addr);
    data += sizeof address.sin6_addr;
    size -= sizeof address.sin6_addr;
    char *text = xstrndup((const char *)data, size);
    bool open = guard_allows((struct sockaddr *)&address, NULL, 0);
    if (open && guard_is_loopback((struct sockaddr *)&address))
        abort();
    if (guard_parse(text, &network) == NULL) {
        if (network.bits > 128)
            abort();
        /* Allowing more never allows less. */
        if (open && !guard_allows((struct sockaddr *)&address, &network, 1))
            abort();
        memcpy(&address.sin6_addr, network.address, sizeof network.address);
        if (!guard_allows((struct sockaddr *)&address, &network, 1))
            abort();
    }
    free(text);
    return 0;
}
