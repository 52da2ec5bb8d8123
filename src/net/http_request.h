/*
 * http_request: libmicrohttpd's callbacks for one request. Internal to net/.
 */
#ifndef HOOKMOON_NET_HTTP_REQUEST_H
#define HOOKMOON_NET_HTTP_REQUEST_H

#include "net/http_internal.h"

enum MHD_Result http_on_access(void *context, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request);
void *http_on_uri(void *context, const char *uri, struct MHD_Connection *connection);
void http_on_completed(void *context, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode why);

/* Refuses (408) requests that take longer than the limit to arrive. */
void http_requests_expire(struct http_server *s, uint64_t now_ms);
/* Before MHD_stop_daemon: lets go of every request. */
void http_requests_abandon(struct http_server *s);

#endif
