/*
 * envelope: the request that brought an event, as JSON that is kept with it, so that its script can
 * run later and sees the same `request`.
 *
 * Headers that hold somebody's key or session (Authorization, Cookie ...) are left out.
 */
#ifndef HOOKMOON_INGRESS_ENVELOPE_H
#define HOOKMOON_INGRESS_ENVELOPE_H

#include <jansson.h>

#include "net/http_server.h"
#include "script/script.h"

/* {"id", "method", "path", "headers": [[name, value], ...], "arguments": [...]}; the caller frees.
 */
char *envelope_write(const struct http_request *r);

/* What it says again. */
struct envelope {
    json_t *json;
    struct script_request request; /* borrows from here; the body is the caller's to set */
};
/* ERROR_INVALID when the text is no envelope. `hook` is the hook's part for request.hook. */
bool envelope_read(struct envelope *v, const char *text, const char *hook, struct error *e);
void envelope_clear(struct envelope *v);

#endif
