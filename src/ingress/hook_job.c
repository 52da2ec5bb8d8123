#include "ingress/hook_job.h"

#include <stdlib.h>

#include "base/backoff.h"
#include "base/request_id.h"
#include "ingress/envelope.h"
#include "ingress/reply.h"
#include "store/deadletter_table.h"

#define MARKS 2
/* What is in the inbox is first run by the worker that took it; another one may after this. */
#define LEASE_MS 60000

static const struct backoff retry_backoff = {1000, 2, 300000};

struct hook_job {
    struct ingress *ingress;
    struct http_request *request; /* NULL: it is gone, or there is none */
    struct hook *hook;
    struct fingerprint marks[MARKS]; /* the event's, and its sender's id for it */
    size_t mark_count;
    char id[REQUEST_ID_SIZE];
    int published;
    struct error failure; /* of the script, once the dead letter is there */
    /* Of one in the inbox: */
    int64_t inbox_id; /* 0: it is none */
    unsigned attempts;
    bool resumed;
    char *envelope, *body;
    size_t length;
};

bool hook_may_log(struct hook_table *t) {
    uint64_t second = clock_mono_ns() / 1000000000u;
    if (second != t->log_second) {
        if (t->log_lines > HOOK_LOG_LINES)
            log_warn("more hook requests were refused, repeated or failed than are logged",
                     LOG_INT("not_logged", t->log_lines - HOOK_LOG_LINES));
        t->log_second = second;
        t->log_lines = 0;
    }
    return ++t->log_lines <= HOOK_LOG_LINES;
}

static void log_script_error(struct ingress *in, const struct hook *h, const char *id,
                             const struct error *e, const char *traceback) {
    if (hook_may_log(in->hooks))
        log_error("script failed, nothing was published", LOG_STR("hook", h->name),
                  LOG_STR("error", e->message), LOG_STR("traceback", traceback),
                  LOG_STR("request", id));
}

/* ---- life ---- */

static void on_gone(struct http_request *r, void *data) {
    struct hook_job *job = data;
    job->request = NULL;
    metric_add(job->hook->outcomes[hook_outcome_of(http_request_status(r))], 1);
}

/* hook.c's counts those that are answered at once. */
static void on_answered(struct http_request *r, void *data) {
    const struct hook *h = data;
    metric_add(h->outcomes[hook_outcome_of(http_request_status(r))], 1);
}

static struct hook_job *job_new(struct ingress *in, struct http_request *r, struct hook *h) {
    struct hook_job *job = xcalloc(1, sizeof *job);
    job->ingress = in;
    job->request = r;
    job->hook = h;
    if (r != NULL) {
        http_request_set_data(r, job, on_gone);
        http_request_answers_soon(r);
        memcpy(job->id, http_request_id(r), sizeof job->id);
    }
    return job;
}

/* Lets go of the request, which lives on to be counted; NULL when it is gone. */
static struct http_request *release_request(struct hook_job *job) {
    struct http_request *r = job->request;
    if (r != NULL)
        http_request_set_data(r, job->hook, on_answered);
    job->request = NULL;
    return r;
}

static void job_free(struct hook_job *job) {
    release_request(job);
    free(job->envelope);
    free(job->body);
    free(job);
}

static void marks_done(struct hook_job *job) {
    for (size_t i = 0; i < job->mark_count; i++)
        replay_done(job->ingress->shared->replay, job->marks[i]);
}

static void marks_forget(struct hook_job *job) {
    for (size_t i = 0; i < job->mark_count; i++)
        replay_forget(job->ingress->shared->replay, job->marks[i]);
}

static void answer_error(struct hook_job *job, const struct error *e) {
    struct http_request *r = release_request(job);
    if (r != NULL)
        reply_error(r, e);
}

/* ---- the script ---- */

static bool run_script(struct ingress *in, struct hook *h, const struct event *ev,
                       const struct script_request *request, struct script_outcome *outcome,
                       const char **traceback, struct error *e) {
    struct hook_bundle *b = h->bundle;
    struct script *script = hook_script(in->hooks, b, e);
    *traceback = "";
    if (script == NULL)
        return false;
    bool good = script_run(script, ev, request, outcome, e);
    histogram_observe_ns(b->duration, outcome->duration_ns);
    metric_set(b->memory, (int64_t)script_memory(script));
    *traceback = script_traceback(script);
    return good;
}

bool hook_job_try(struct ingress *in, struct hook *h, const char *request, const char *body,
                  size_t length, struct script_outcome *outcome, const char **traceback,
                  struct error *e) {
    struct envelope v;
    struct event ev;
    *traceback = "";
    if (!envelope_read(&v, request, h->part, e))
        return false;
    v.request.body = body;
    v.request.body_length = length;
    bool good = event_parse(&ev, body, length, in->shared->config->limits.json_depth, e);
    if (good) {
        good = run_script(in, h, &ev, &v.request, outcome, traceback, e);
        event_clear(&ev);
    }
    envelope_clear(&v);
    return good;
}

/* Adds what a good run leaves: its publishes, and that it was one. False: refused by the broker. */
static bool add_outcome(struct hook_job *job, const struct script_outcome *outcome,
                        struct transaction *t, struct error *e) {
    struct ingress_shared *shared = job->ingress->shared;
    if (outcome->publish_count > 0 &&
        !broker_add(shared->broker, outcome->publishes, outcome->publish_count, t, e))
        return false;
    job->published = (int)outcome->publish_count;
    if (shared_has_failed(shared, job->marks[0]))
        deadletter_table_resolve(t, job->hook->name, &job->marks[0]);
    return true;
}

/* ---- dead letters ---- */

static void add_deadletter(struct hook_job *job, const struct event *ev, const char *envelope,
                           const char *body, size_t length, const struct error *e,
                           const char *traceback, struct transaction *t) {
    int64_t now = clock_wall_ms();
    const struct deadletter d = {
        .kind = DEADLETTER_SCRIPT,
        .created_ms = now,
        .updated_ms = now,
        .attempts = job->attempts > 0 ? job->attempts : 1,
        .error = e->message,
        .traceback = traceback,
        .hook = job->hook->name,
        .version = job->hook->bundle->bundle->version,
        .fingerprint = &job->marks[0],
        .request = envelope,
        .cache = ev != NULL ? ev->cache : NULL,
        .topic = ev != NULL ? ev->topic : NULL,
        .number = ev != NULL ? (uint64_t)ev->sequence_number : 0,
        .event = body,
        .length = length,
    };
    deadletter_table_put(t, &d);
    shared_note_failed(job->ingress->shared, job->marks[0]);
}

/* ---- ack = "processed" ---- */

static void answer_published(struct hook_job *job) {
    struct http_request *r = release_request(job);
    struct buffer *answer = &job->ingress->answer;
    if (r == NULL)
        return;
    buffer_clear(answer);
    buffer_add_string(answer, "{\"published\":");
    buffer_add_u64(answer, (uint64_t)job->published);
    buffer_add_string(answer, "}\n");
    reply_json(r, 200, answer->data);
    if (log_enabled(LOG_DEBUG)) {
        /* Of the publish that made a gateway call us; the sender's word, so not our own id. */
        const char *cause = http_request_header(r, "X-Request-Id");
        log_debug("hook accepted", LOG_STR("hook", job->hook->name),
                  LOG_INT("published", job->published), LOG_STR("request", job->id),
                  LOG_STR("caused_by", cause != NULL ? cause : ""));
    }
}

static void on_processed(void *context, const struct error *e) {
    struct hook_job *job = context;
    if (e == NULL) {
        marks_done(job);
        answer_published(job);
    } else {
        marks_forget(job);
        answer_error(job, e);
    }
    job_free(job);
}

static void on_buried(void *context, const struct error *e) {
    struct hook_job *job = context;
    if (e != NULL)
        log_error("a failed event could not be kept as a dead letter; its sender is told to send "
                  "it again",
                  LOG_STR("hook", job->hook->name), LOG_STR("error", e->message),
                  LOG_STR("request", job->id));
    marks_forget(job);
    /* 500 says that there is a dead letter. */
    answer_error(job, e != NULL ? e : &job->failure);
    job_free(job);
}

/* The sender is told once the dead letter is there. */
static void fail_processed(struct hook_job *job, const struct event *ev, const struct error *why,
                           const char *traceback) {
    struct error e;
    size_t length;
    const char *body = http_request_body(job->request, &length);
    char *envelope = envelope_write(job->request);
    struct transaction *t = transaction_new(on_buried, job);
    log_script_error(job->ingress, job->hook, job->id, why, traceback);
    error_set(&job->failure, ERROR_INTERNAL, "the script failed; the log has more (request %s)",
              job->id);
    add_deadletter(job, ev, envelope, body, length, why, traceback, t);
    free(envelope);
    if (!mailbox_submit(job->ingress->mailbox, t, &e))
        on_buried(job, &e);
}

static void each_header(const void *source, http_each *each, void *context) {
    http_request_each_header(source, each, context);
}

static void each_argument(const void *source, http_each *each, void *context) {
    http_request_each_argument(source, each, context);
}

static void process(struct hook_job *job, const struct event *ev) {
    struct ingress *in = job->ingress;
    struct http_request *r = job->request;
    struct script_request request = {
        .id = job->id,
        .method = http_request_method(r),
        .path = http_request_path(r),
        .hook = job->hook->part,
        .each_header = each_header,
        .each_argument = each_argument,
        .source = r,
    };
    struct script_outcome outcome;
    struct error e;
    const char *traceback;
    request.body = http_request_body(r, &request.body_length);
    if (!run_script(in, job->hook, ev, &request, &outcome, &traceback, &e)) {
        fail_processed(job, ev, &e, traceback);
        return;
    }
    struct transaction *t = transaction_new(on_processed, job);
    if (!add_outcome(job, &outcome, t, &e)) {
        transaction_free(t);
        if (e.code != ERROR_LIMIT && e.code != ERROR_UNAVAILABLE) {
            fail_processed(job, ev, &e, "");
            return;
        }
        log_script_error(in, job->hook, job->id, &e, "");
        on_processed(job, &e);
        return;
    }
    if (transaction_is_durable(t)) {
        for (size_t i = 0; i < job->mark_count; i++)
            seen_add(in->shared->seen, t, job->marks[i]);
    } else {
        for (size_t i = 0; i < job->mark_count; i++)
            seen_add_lazily(in->shared->seen, job->marks[i]);
    }
    if (!mailbox_submit(in->mailbox, t, &e))
        on_processed(job, &e);
}

/* ---- ack = "received" ---- */

static void on_run(void *context, const struct error *e) {
    struct hook_job *job = context;
    /* When it could not be written, it is still in the inbox. */
    if (e == NULL && job->inbox_id == 0)
        atomic_fetch_sub(&job->ingress->shared->inbox, 1);
    if (job->resumed)
        job->ingress->inbox_running--;
    job_free(job);
}

/* What came of a run; the row goes, or is tried again later. */
static void run_received(struct hook_job *job) {
    struct ingress *in = job->ingress;
    struct script_outcome outcome;
    struct transaction *t = transaction_new(on_run, job);
    const char *traceback;
    struct error e;
    int64_t row = job->inbox_id;
    job->attempts++;
    if (hook_job_try(in, job->hook, job->envelope, job->body, job->length, &outcome, &traceback,
                     &e) &&
        add_outcome(job, &outcome, t, &e)) {
        inbox_table_remove(t, row);
        job->inbox_id = 0;
    } else {
        log_script_error(in, job->hook, job->id, &e, traceback);
        if (job->attempts <= job->hook->retries) {
            inbox_table_retry(t, row, job->attempts,
                              clock_wall_ms() + backoff_ms(&retry_backoff, job->attempts));
        } else {
            struct event ev;
            struct error bad;
            bool parsed = event_parse(&ev, job->body, job->length,
                                      in->shared->config->limits.json_depth, &bad);
            add_deadletter(job, parsed ? &ev : NULL, job->envelope, job->body, job->length, &e,
                           traceback, t);
            if (parsed)
                event_clear(&ev);
            inbox_table_remove(t, row);
            job->inbox_id = 0;
        }
    }
    if (!mailbox_submit(in->mailbox, t, &e))
        on_run(job, &e);
}

static void on_received(void *context, const struct error *e) {
    struct hook_job *job = context;
    struct http_request *r;
    if (e != NULL) {
        marks_forget(job);
        answer_error(job, e);
        job_free(job);
        return;
    }
    marks_done(job);
    atomic_fetch_add(&job->ingress->shared->inbox, 1);
    if ((r = release_request(job)) != NULL)
        reply_json(r, 202, "{\"received\":true}\n");
    run_received(job);
}

static void receive(struct hook_job *job) {
    struct ingress *in = job->ingress;
    struct error e;
    size_t length;
    if (atomic_load(&in->shared->inbox) >= in->shared->config->limits.inbox) {
        error_set(&e, ERROR_LIMIT, "as many events wait for their scripts as may (limits.inbox)");
        on_received(job, &e);
        return;
    }
    const char *body = http_request_body(job->request, &length);
    job->body = xstrndup(body, length);
    job->length = length;
    job->envelope = envelope_write(job->request);
    int64_t now = clock_wall_ms();
    const struct inbox_row row = {
        .hook = job->hook->name,
        .received_ms = now,
        .due_ms = now + LEASE_MS,
        .fingerprint = &job->marks[0],
        .request = job->envelope,
        .event = job->body,
        .length = length,
    };
    struct transaction *t = transaction_new(on_received, job);
    inbox_table_add(t, &job->inbox_id, &row);
    for (size_t i = 0; i < job->mark_count; i++)
        seen_add(in->shared->seen, t, job->marks[i]);
    if (!mailbox_submit(in->mailbox, t, &e))
        on_received(job, &e);
}

bool hook_job_resume(struct ingress *in, const struct inbox_row *row) {
    struct hook *h = hook_table_find(in->hooks, row->hook);
    if (h == NULL) /* its script was taken away: it waits until that is back */
        return false;
    struct hook_job *job = job_new(in, NULL, h);
    memcpy(&job->marks[0], row->fingerprint, sizeof job->marks[0]);
    job->inbox_id = row->id;
    job->attempts = row->attempts;
    job->envelope = xstrdup(row->request);
    job->body = xstrndup(row->event, row->length);
    job->length = row->length;
    job->resumed = true;
    in->inbox_running++;
    run_received(job);
    return true;
}

/* ---- both ---- */

/* Marks the event as running; false when it is a duplicate, and answered. */
static bool mark(struct hook_job *job, struct fingerprint f) {
    struct ingress *in = job->ingress;
    struct error e;
    switch (replay_begin(in->shared->replay, f, clock_mono_ns())) {
    case REPLAY_NEW:
        job->marks[job->mark_count++] = f;
        return true;
    case REPLAY_DONE:
        if (hook_may_log(in->hooks))
            log_info("event was accepted before and is not run again",
                     LOG_STR("hook", job->hook->name), LOG_STR("request", job->id));
        marks_forget(job);
        reply_json(release_request(job), 200, "{\"duplicate\":true}\n");
        return false;
    case REPLAY_RUNNING:
        error_set(&e, ERROR_UNAVAILABLE, "the same event is being processed this moment");
        break;
    case REPLAY_FULL:
        error_set(&e, ERROR_UNAVAILABLE,
                  "more events arrive than can be remembered (limits.replay_events)");
        break;
    }
    if (hook_may_log(in->hooks))
        log_warn("hook refused", LOG_STR("hook", job->hook->name), LOG_STR("why", e.message),
                 LOG_STR("request", job->id));
    marks_forget(job);
    answer_error(job, &e);
    return false;
}

void hook_job_start(struct ingress *in, struct http_request *r, struct hook *h,
                    const struct event *ev) {
    const struct replay *replay = in->shared->replay;
    const char *id = http_request_header(r, "webhook-id");
    struct hook_job *job = job_new(in, r, h);
    bool fresh = mark(job, replay_fingerprint(replay, h->name, ev));
    if (fresh && id != NULL && id[0] != '\0')
        fresh = mark(job, replay_fingerprint_id(replay, h->name, id));
    if (!fresh)
        job_free(job);
    else if (h->received)
        receive(job);
    else
        process(job, ev);
}
