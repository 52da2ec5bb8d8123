/*
 * config_url: the URLs of webhooks, and which of them are this gateway's own. Any thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_URL_H
#define HOOKMOON_CONFIG_CONFIG_URL_H

#include "base/base.h"

/* True for a whole http:// or https:// URL. */
bool config_url_is_valid(const char *url);
/* The same, or "/hooks/NAME". */
bool config_webhook_url_is_valid(const char *url);
/* With `base` ("http://127.0.0.1:8080") in front when it is only a path; the caller frees. */
char *config_url_complete(const char *url, const char *base);
/*
 * The NAME of the hook of this gateway that `url` points at, or NULL; the caller frees. Its own
 * addresses are `base`, the loopback names with the same port, and `public_url` (may be NULL).
 */
char *config_url_own_hook(const char *url, const char *base, const char *public_url);

#endif
