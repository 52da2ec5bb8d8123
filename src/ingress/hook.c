/*
 * POST /hooks/{bundle}[/{hook}]: authenticates and decodes; hook_job.c does the rest.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "ingress/hook_job.h"
#include "ingress/reply.h"

static const char prefix[] = "/hooks/";
static const char signature_header[] = "momento-signature";

/* ---- refusals ---- */

/* `why` goes to the log alone, so it may say more than the sender is told. */
static void log_refusal(struct ingress *in, const struct http_request *r, const struct hook *h,
                        const char *why) {
    if (hook_may_log(in->hooks))
        log_warn("hook refused", LOG_STR("hook", h->name), LOG_STR("why", why),
                 LOG_STR("request", http_request_id(r)));
}

static void refuse(struct ingress *in, struct http_request *r, const struct hook *h,
                   const struct error *e) {
    log_refusal(in, r, h, e->message);
    reply_error(r, e);
}

/* ---- the checks, in their order ---- */

static bool is_json(const char *type) {
    if (type == NULL || type[0] == '\0')
        return true;
    size_t length = strcspn(type, "; ");
    return (length == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (length > 5 && strncasecmp(type + length - 5, "+json", 5) == 0);
}

static void on_gone(struct http_request *r, void *data) {
    struct hook *h = data;
    metric_add(h->outcomes[hook_outcome_of(http_request_status(r))], 1);
}

size_t hook_headers(struct ingress *in, struct http_request *r) {
    struct hook *h = hook_table_find(in->hooks, http_request_path(r) + sizeof prefix - 1);
    if (h == NULL) {
        reply_refuse(r, 404, "not_found", "there is no hook of that name");
        return 0;
    }
    http_request_set_data(r, h, on_gone);
    const char *encoding = http_request_header(r, "Content-Encoding");
    if (!is_json(http_request_header(r, "Content-Type"))) {
        log_refusal(in, r, h, "the Content-Type is not application/json");
        reply_refuse(r, 415, "unsupported_media_type", "the Content-Type must be application/json");
    } else if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        log_refusal(in, r, h, "the body is compressed");
        reply_refuse(r, 415, "unsupported_media_type", "the body must not be compressed");
    }
    return h->body_bytes;
}

/* Fills `e` with what the sender is told and `why` with what the log is. */
static bool authenticate(const struct http_request *r, const struct hook *h, const char *body,
                         size_t length, const char **why, struct error *e) {
    const char *signature = http_request_header(r, signature_header);
    const char *told = "the signature is not valid";
    unsigned count = http_request_header_count(r, signature_header);
    bool good = false;
    if (h->signer_count == 0)
        *why = "the hook has no secret: add hooks[\"NAME\"].secret, or a webhook that points at it";
    else if (count == 0)
        *why = told = "the header momento-signature is missing";
    else if (count > 1)
        *why = told = "the header momento-signature is there more than once";
    else if ((*why = momento_signature_defect(signature)) == NULL) {
        /* All are tried, so that the time does not tell which of them matched. */
        int64_t now = clock_wall_ms();
        for (size_t i = 0; i < h->signer_count; i++) {
            const struct hook_signer *s = &h->signers[i];
            good |= (s->until_ms == 0 || now < s->until_ms) &
                    signer_verify(s->signer, body, length, signature);
        }
        if (!good)
            *why = "the signature fits none of the hook's secrets";
    }
    return good || error_set(e, ERROR_UNAUTHENTICATED, "%s", told);
}

static bool is_timely(const struct hook *h, const struct event *ev, struct error *e) {
    int64_t now = clock_wall_ms();
    if (ev->publish_timestamp < now - h->max_age_ms)
        return error_set(e, ERROR_UNAUTHENTICATED,
                         "the event's publish_timestamp is %" PRId64 " ms old, at most %" PRId64
                         " are accepted",
                         now - ev->publish_timestamp, h->max_age_ms);
    if (ev->publish_timestamp > now + h->max_future_ms)
        return error_set(e, ERROR_UNAUTHENTICATED,
                         "the event's publish_timestamp is %" PRId64
                         " ms in the future, at most %" PRId64 " are accepted",
                         ev->publish_timestamp - now, h->max_future_ms);
    return true;
}

void hook_request(struct ingress *in, struct http_request *r) {
    struct hook *h = http_request_data(r);
    struct error e;
    const char *why;
    size_t length;
    const char *body = http_request_body(r, &length);
    if (ingress_phase(in) == PHASE_STOPPING) {
        error_set(&e, ERROR_UNAVAILABLE, "the gateway is stopping");
        refuse(in, r, h, &e);
        return;
    }
    if (length == 0) {
        error_set(&e, ERROR_INVALID, "the body is empty; a signed JSON event is expected");
        refuse(in, r, h, &e);
        return;
    }
    if (!authenticate(r, h, body, length, &why, &e)) {
        log_refusal(in, r, h, why);
        reply_error(r, &e);
        return;
    }
    if (!rate_take(h->rate)) {
        error_set(&e, ERROR_LIMIT, "the hook's rate is exceeded, come again");
        refuse(in, r, h, &e);
        return;
    }
    struct event ev;
    if (!event_parse(&ev, body, length, in->shared->config->limits.json_depth, &e)) {
        refuse(in, r, h, &e);
        return;
    }
    if (is_timely(h, &ev, &e))
        hook_job_start(in, r, h, &ev);
    else
        refuse(in, r, h, &e);
    event_clear(&ev);
}
