/*
 * curl_loop: libcurl's multi interface on a worker's loop. The loop's thread.
 */
#ifndef HOOKMOON_NET_CURL_LOOP_H
#define HOOKMOON_NET_CURL_LOOP_H

#include <curl/curl.h>
#include <uv.h>

#include "base/base.h"

struct curl_loop;

struct curl_loop *curl_loop_new(uv_loop_t *loop);
/* Transfers must have ended or been cancelled; not from within `done`. The loop must run once more
 * to free the handles. */
void curl_loop_free(struct curl_loop *cl);

/*
 * Starts a transfer; `done` is called once, when it ended, and the handle is the caller's again: it
 * may be reused or cleaned up there. Takes CURLOPT_PRIVATE. The caller keeps `t` until then.
 */
struct curl_transfer {
    void (*done)(struct curl_transfer *t, CURLcode result);
};
bool curl_loop_add(struct curl_loop *cl, CURL *easy, struct curl_transfer *t);
/* Ends a transfer without calling `done`. Waits for the lookup of a name, unless the handle has
 * CURLOPT_QUICK_EXIT. */
void curl_loop_cancel(struct curl_loop *cl, CURL *easy);

#endif
