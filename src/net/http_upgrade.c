/*
 * A connection that stops speaking HTTP: its socket is lent to whoever speaks on.
 */
#include "net/http_internal.h"

static void on_upgraded(void *context, struct MHD_Connection *connection, void *data,
                        const char *early, size_t length, MHD_socket fd,
                        struct MHD_UpgradeResponseHandle *handle) {
    (void)connection, (void)data;
    struct http_request *r = context;
    r->upgraded = handle;
    r->on_upgraded(r, fd, early, length);
}

void http_request_upgrade(struct http_request *r, const char *protocol, http_upgraded *upgraded) {
    r->on_upgraded = upgraded;
    http_request_set_header(r, "Upgrade", protocol);
    http_request_answer(r, 101, MHD_create_response_for_upgrade(on_upgraded, r));
}

void http_request_end_upgrade(struct http_request *r) {
    if (r->upgraded == NULL)
        return;
    struct MHD_UpgradeResponseHandle *handle = r->upgraded;
    r->upgraded = NULL;
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    http_server_kick(r->server);
}
