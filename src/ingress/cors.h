/*
 * cors: which pages in browsers may use the gateway.
 *
 * As configured by `origins`; otherwise, where a key is asked for, all of them (whoever has the key
 * may use it), and while the gateway is open, only pages of this machine: else any page that its
 * user visits could publish and administer.
 */
#ifndef HOOKMOON_INGRESS_CORS_H
#define HOOKMOON_INGRESS_CORS_H

#include "config/config.h"
#include "net/http_server.h"

/* True when a page of this origin ("http://localhost:3000") may. */
bool cors_allows(const struct config *c, const char *origin);
/* Sets the headers without which a browser shows no answer, errors included, to the page. */
void cors_headers(const struct config *c, struct http_request *r);
/* Answers OPTIONS. `methods` and `headers` are comma-separated lists. */
void cors_preflight(const struct config *c, struct http_request *r, const char *methods,
                    const char *headers);
/*
 * Refuses (403) a request for another host's name while the gateway is open on a loopback address:
 * a page whose own name was made to point here is no page of another origin to its browser. True:
 * it did.
 */
bool cors_host_refused(const struct config *c, struct http_request *r);
/* Refuses (403) a request of a page that may not, even where a browser asks nobody first. True: it
 * did. */
bool cors_refused(const struct config *c, struct http_request *r);

#endif
