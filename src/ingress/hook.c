/*
 * POST /hooks/{bundle}[/{hook}]: authenticate, decode, run the script, publish what it asks for.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "ingress/event.h"
#include "ingress/hook_table.h"
#include "ingress/reply.h"

#define LOG_LINES_PER_SECOND 50

static const char prefix[] = "/hooks/";
static const char signature_header[] = "momento-signature";

/* ---- refusals ---- */

/* True when another line may be written this second. */
static bool may_log(struct hook_table *t) {
    uint64_t second = clock_mono_ns() / 1000000000u;
    if (second != t->log_second) {
        if (t->log_lines > LOG_LINES_PER_SECOND)
            log_warn("more hook requests were refused, repeated or failed than are logged",
                     LOG_INT("not_logged", t->log_lines - LOG_LINES_PER_SECOND));
        t->log_second = second;
        t->log_lines = 0;
    }
    return ++t->log_lines <= LOG_LINES_PER_SECOND;
}

/* `why` goes to the log alone, so it may say more than the sender is told. */
static void log_refusal(struct ingress *in, const struct http_request *r, const struct hook *h,
                        const char *why) {
    if (may_log(in->hooks))
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

/* ---- the script ---- */

static void each_header(const void *source, http_each *each, void *context) {
    http_request_each_header(source, each, context);
}

static void each_argument(const void *source, http_each *each, void *context) {
    http_request_each_argument(source, each, context);
}

static void log_script_error(struct ingress *in, const struct http_request *r, const struct hook *h,
                             const struct error *e, const char *traceback) {
    if (!may_log(in->hooks))
        return;
    log_error("script failed, nothing was published", LOG_STR("hook", h->name),
              LOG_STR("error", e->message), LOG_STR("traceback", traceback),
              LOG_STR("request", http_request_id(r)));
}

/* Runs the script and publishes; how many messages, or -1 and `e` is what the sender is told. */
static int run(struct ingress *in, struct http_request *r, struct hook *h, const struct event *ev,
               struct error *e) {
    struct hook_bundle *b = h->bundle;
    struct error why;
    struct script *script = hook_script(in->hooks, b, &why);
    if (script == NULL) {
        log_script_error(in, r, h, &why, "");
        error_set(e, ERROR_INTERNAL, "the script does not load; the log has more (request %s)",
                  http_request_id(r));
        return -1;
    }
    struct script_request request = {
        .id = http_request_id(r),
        .method = http_request_method(r),
        .path = http_request_path(r),
        .hook = h->part,
        .each_header = each_header,
        .each_argument = each_argument,
        .source = r,
    };
    request.body = http_request_body(r, &request.body_length);
    struct script_outcome outcome;
    bool good = script_run(script, ev, &request, &outcome, &why);
    histogram_observe_ns(b->duration, outcome.duration_ns);
    metric_set(b->memory, (int64_t)script_memory(script));
    if (!good) {
        log_script_error(in, r, h, &why, script_traceback(script));
        error_set(e, ERROR_INTERNAL, "the script failed; the log has more (request %s)",
                  http_request_id(r));
        return -1;
    }
    if (!broker_publish(in->shared->broker, outcome.publishes, outcome.publish_count, &why)) {
        log_script_error(in, r, h, &why, "");
        bool full = why.code == ERROR_LIMIT || why.code == ERROR_UNAVAILABLE;
        error_set(e, full ? ERROR_UNAVAILABLE : ERROR_INTERNAL,
                  "what the script published was refused; the log has more (request %s)",
                  http_request_id(r));
        return -1;
    }
    return (int)outcome.publish_count;
}

static void run_once(struct ingress *in, struct http_request *r, struct hook *h,
                     const struct event *ev) {
    struct replay *replay = in->shared->replay;
    struct fingerprint f = replay_fingerprint(replay, h->name, ev);
    struct error e;
    switch (replay_begin(replay, f, clock_mono_ns())) {
    case REPLAY_DONE:
        if (may_log(in->hooks))
            log_info("event was accepted before and is not run again", LOG_STR("hook", h->name),
                     LOG_STR("request", http_request_id(r)));
        reply_json(r, 200, "{\"duplicate\":true}\n");
        return;
    case REPLAY_RUNNING:
        error_set(&e, ERROR_UNAVAILABLE, "the same event is being processed this moment");
        refuse(in, r, h, &e);
        return;
    case REPLAY_FULL:
        error_set(&e, ERROR_UNAVAILABLE,
                  "more events arrive than can be remembered (limits.replay_events)");
        refuse(in, r, h, &e);
        return;
    case REPLAY_NEW:
        break;
    }
    int published = run(in, r, h, ev, &e);
    if (published < 0) {
        replay_forget(replay, f);
        reply_error(r, &e);
        return;
    }
    replay_done(replay, f);
    struct buffer *answer = &in->answer;
    buffer_clear(answer);
    buffer_add_string(answer, "{\"published\":");
    buffer_add_u64(answer, (uint64_t)published);
    buffer_add_string(answer, "}\n");
    reply_json(r, 200, answer->data);
    if (log_enabled(LOG_DEBUG)) {
        /* Of the publish that made a gateway call us; the sender's word, so not our own id. */
        const char *cause = http_request_header(r, "X-Request-Id");
        log_debug("hook accepted", LOG_STR("hook", h->name), LOG_INT("published", published),
                  LOG_STR("request", http_request_id(r)),
                  LOG_STR("caused_by", cause != NULL ? cause : ""));
    }
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
        run_once(in, r, h, &ev);
    else
        refuse(in, r, h, &e);
    event_clear(&ev);
}
