/*
 * exchange: requests on topics one after another, on a kept connection. While the gateway is busy,
 * full or restarting they come again for a while, as it asks for with Retry-After.
 */
#ifndef HOOKMOON_CLI_EXCHANGE_H
#define HOOKMOON_CLI_EXCHANGE_H

#include "broker/item.h"
#include "cli/client.h"

struct exchange {
    const struct client *client;
    CURLSH *share; /* holds the connection */
    bool reached;  /* there is a gateway: when it is away it will come back */
    bool told;     /* of the waiting, this time */
};

void exchange_open(struct exchange *x, const struct client *c);
void exchange_close(struct exchange *x);

/* How it ended; `reason`, the caller's to free, is NULL when it ended well. */
struct exchange_end {
    char *reason;
    bool is_silent; /* a long poll that nothing came for */
};

/* GET of the topic with that query; `*answer` is the JSON, the caller's. */
struct exchange_end exchange_read(struct exchange *x, const char *cache, const char *topic,
                                  const char *query, json_t **answer);
/* POST of what the item holds. It is not sent again when it may have arrived. */
struct exchange_end exchange_publish(struct exchange *x, const char *cache, const char *topic,
                                     const struct item *item);
/* Where the topic stands this moment: its page and the number of its newest item (0: none yet). */
struct exchange_end exchange_position(struct exchange *x, const char *cache, const char *topic,
                                      uint64_t *page, uint64_t *newest);

#endif
