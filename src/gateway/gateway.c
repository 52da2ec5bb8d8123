#include "gateway/gateway.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <curl/curl.h>

#include "gateway/figures.h"
#include "gateway/worker.h"
#include "ingress/limits.h"
#include "store/deadletter_table.h"
#include "store/inbox_table.h"

#define STOP_TICK_MS 5
#define REFRESH_MS   1000
/* Events that are dead letters, known so that a later success drops them. */
#define FAILED_MAX       100000
#define FAILED_WINDOW_MS (24 * 3600 * 1000)

struct gateway {
    struct config *config;
    struct ingress_shared shared;
    struct bundle_list bundles;
    struct store *store;
    struct token_key *token_key;
    struct worker **workers;
    unsigned worker_count;
    char *url;
    uv_loop_t loop; /* the main thread's: signals and the stop's timer */
    uv_signal_t signals[2];
    uv_timer_t timer;
    uv_timer_t refresh; /* of what another process wrote into the store */
    uint64_t deadline_ns;
    unsigned round;       /* of asking the workers whether they are idle */
    unsigned idle_rounds; /* in a row */
    uint64_t published;   /* as of the last round */
};

/* ---- making ---- */

static bool check_open(const struct config *c, int listen_fd, struct error *e) {
    if (c->open && !http_listen_is_loopback(listen_fd) && !c->allow_open_public)
        return error_set(
            e, ERROR_INVALID,
            "refusing to serve %s without keys: whoever reaches it could publish and "
            "subscribe. Set keys, listen on 127.0.0.1, or set allow_open_public = true",
            c->listen);
    return true;
}

static void on_bundle_problem(void *context, const char *path, const struct error *e) {
    (void)context;
    log_error("bundle left out", LOG_STR("path", path), LOG_STR("error", e->message));
}

/* A script that does not load is told of now, not at its first event; the others are served. */
static void try_bundles(const struct gateway *g) {
    struct script_limits limits = limits_for_script(g->config);
    for (size_t i = 0; i < g->bundles.count; i++) {
        struct error e;
        struct script *s = script_new(g->bundles.list[i], &limits, &e);
        if (s == NULL)
            log_error("script does not load; its hook answers 500",
                      LOG_STR("bundle", g->bundles.list[i]->name), LOG_STR("error", e.message));
        script_free(s);
    }
}

static bool hook_exists(const struct gateway *g, const char *name) {
    size_t length = strcspn(name, "/");
    const struct bundle *b = bundle_list_find(&g->bundles, name, length);
    return b != NULL && (name[length] == '\0' || bundle_has_hook(b, name + length + 1));
}

static bool check_hooks(const struct gateway *g, struct error *e) {
    const struct config *c = g->config;
    for (size_t i = 0; i < c->hook_count; i++) {
        if (!hook_exists(g, c->hooks[i].name))
            return error_set(e, ERROR_INVALID, "hooks[\"%s\"]: %s has no such script",
                             c->hooks[i].name, c->scripts);
    }
    for (size_t i = 0; i < c->webhook_count; i++) {
        const struct config_webhook *w = &c->webhooks[i];
        if (w->own_hook != NULL && !hook_exists(g, w->own_hook))
            return error_set(e, ERROR_INVALID,
                             "webhook %s points at /hooks/%s, but %s has no "
                             "such script",
                             w->name, w->own_hook, c->scripts);
    }
    return true;
}

/* Long enough for the hook with the widest window. */
static int64_t replay_window_ms(const struct config *c) {
    struct config_hook hook;
    config_hook_init(&hook);
    int64_t window = hook.max_age_ms + hook.max_future_ms;
    for (size_t i = 0; i < c->hook_count; i++) {
        int64_t own = c->hooks[i].max_age_ms + c->hooks[i].max_future_ms;
        window = own > window ? own : window;
    }
    return window;
}

/* Before the signing key, which lies beside: the store makes the directory. */
static bool open_data(struct gateway *g, uint64_t *page, struct error *e) {
    const char *dir = g->config->data;
    char *path = xasprintf("%s/token.key", dir);
    g->store = store_open(dir, true, e);
    if (g->store != NULL) {
        struct store_limits limits = limits_for_store(g->config);
        store_set_limits(g->store, &limits);
        g->token_key = token_key_open(path, true, e);
    }
    free(path);
    return g->token_key != NULL &&
           store_next_page(g->store, (uint64_t)(clock_wall_ms() / 1000), page, e);
}

/* Not a mistake: `hookmoon key create` makes keys for a gateway that runs already. */
static void warn_without_keys(const struct gateway *g) {
    struct key_record *list;
    size_t count;
    if (g->config->open || g->config->key_count > 0 ||
        !store_list_keys(g->store, &list, &count, NULL))
        return;
    key_list_free(list, count);
    if (count == 0)
        log_warn("there is no key yet, so nobody can publish or subscribe: make one with "
                 "`hookmoon key create`",
                 LOG_STR("data", g->config->data));
}

static void restore_failed(void *context, const void *fingerprint) {
    struct fingerprint f;
    memcpy(&f, fingerprint, sizeof f);
    shared_note_failed(context, f);
}

/* What earlier runs accepted, took in and gave up. */
static bool restore_events(struct gateway *g, struct error *e) {
    struct ingress_shared *s = &g->shared;
    int64_t waiting = 0;
    struct database *db = store_open_reader(g->store, e);
    bool good = db != NULL && seen_restore(s->seen, s->replay, e) &&
                inbox_table_count(db, &waiting, e) &&
                deadletter_table_each_event(db, FAILED_MAX, restore_failed, s, e);
    database_close(db);
    atomic_store(&s->inbox, (uint64_t)waiting);
    return good;
}

static bool make_memory(struct gateway *g, struct error *e) {
    const struct config *c = g->config;
    struct ingress_shared *s = &g->shared;
    int64_t window = replay_window_ms(c);
    unsigned char bytes[16];
    uint64_t seed;
    if (!store_seed(g->store, bytes, e))
        return false;
    memcpy(&seed, bytes, sizeof seed);
    s->replay = replay_new(window, c->limits.replay_events, seed);
    s->failed = replay_new(FAILED_WINDOW_MS, FAILED_MAX, seed);
    s->seen = seen_new(g->store, window);
    return restore_events(g, e);
}

static bool make_shared(struct gateway *g, struct error *e) {
    struct config *c = g->config;
    uint64_t page;
    if (!open_data(g, &page, e))
        return false;
    struct broker_limits limits = limits_for_broker(c);
    g->shared.config = c;
    g->shared.bundles = &g->bundles;
    g->shared.broker = broker_new(&limits, page, g->store);
    g->shared.metrics = metrics_new();
    g->shared.access = access_new(c, g->token_key);
    g->shared.webhooks = webhook_set_new();
    g->shared.store = g->store;
    g->shared.rates = xcalloc(c->hook_count + 1, sizeof(struct rate *));
    for (size_t i = 0; i < c->hook_count; i++) {
        if (c->hooks[i].rate > 0)
            g->shared.rates[i] = rate_new(c->hooks[i].rate);
    }
    return make_memory(g, e);
}

/* What depends on the address that was found. */
static bool make_control(struct gateway *g, struct error *e) {
    struct control_options options = {
        .config = g->config,
        .url = g->url,
        .broker = g->shared.broker,
        .store = g->store,
        .access = g->shared.access,
        .token_key = g->token_key,
        .webhooks = g->shared.webhooks,
    };
    g->shared.url = g->url;
    g->shared.control = control_new(&options, e);
    return g->shared.control != NULL;
}

/* ---- listening ---- */

/* What the gateway's own webhooks call: the address it listens on, or the loopback's. */
static char *own_url(const char *listen, unsigned port) {
    int host = (int)(strrchr(listen, ':') - listen);
    bool any = host == 0 || strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
    return any ? xasprintf("http://127.0.0.1:%u", port)
               : xasprintf("http://%.*s:%u", host, listen, port);
}

/* The first listener finds the port, if it is 0; the others share it. */
static bool make_workers(struct gateway *g, struct error *e) {
    struct config *c = g->config;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = c->workers > 0 ? c->workers : cores > 0 ? (unsigned)cores : 1;
    int *fds = xcalloc(count, sizeof *fds);
    unsigned listening = 0;
    char *address = xstrdup(c->listen);
    g->workers = xcalloc(count, sizeof(struct worker *));
    for (; listening < count; listening++) {
        fds[listening] = http_listen(address, listening == 0, e);
        if (fds[listening] < 0)
            goto done;
        if (listening == 0) {
            unsigned port = http_listen_port(fds[0]);
            free(address);
            address =
                xasprintf("%.*s:%u", (int)(strrchr(c->listen, ':') - c->listen), c->listen, port);
            g->url = own_url(c->listen, port);
            config_complete_webhooks(c, g->url);
            if (!check_open(c, fds[0], e) || !check_hooks(g, e) || !make_control(g, e)) {
                listening++;
                goto done;
            }
        }
    }
    g->shared.workers = count;
    while (g->worker_count < count) {
        struct worker *w = worker_new(&g->shared, g->worker_count, count, fds[g->worker_count], e);
        fds[g->worker_count] = -1;
        if (w == NULL)
            break;
        g->workers[g->worker_count++] = w;
    }
done:
    for (unsigned i = 0; i < listening; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(fds);
    free(address);
    return g->worker_count == count;
}

struct gateway *gateway_new(struct config *c, struct error *e) {
    struct gateway *g = xcalloc(1, sizeof *g);
    g->config = c;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    uv_loop_init(&g->loop);
    if (bundle_list_load(&g->bundles, c->scripts, on_bundle_problem, NULL, e) &&
        make_shared(g, e) && make_workers(g, e)) {
        figures_register(&g->shared);
        try_bundles(g);
        warn_without_keys(g);
        return g;
    }
    gateway_free(g);
    return NULL;
}

const char *gateway_url(const struct gateway *g) {
    return g->url;
}

unsigned gateway_bundle_count(const struct gateway *g) {
    return (unsigned)g->bundles.count;
}

void gateway_free(struct gateway *g) {
    if (g == NULL)
        return;
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_free(g->workers[i]);
    free(g->workers);
    for (size_t i = 0; g->shared.rates != NULL && i < g->config->hook_count; i++)
        rate_free(g->shared.rates[i]);
    free(g->shared.rates);
    replay_free(g->shared.replay);
    replay_free(g->shared.failed);
    control_free(g->shared.control);
    webhook_set_free(g->shared.webhooks);
    access_free(g->shared.access);
    token_key_free(g->token_key);
    store_close(g->store);
    seen_free(g->shared.seen);
    broker_free(g->shared.broker);
    metrics_free(g->shared.metrics);
    bundle_list_free(&g->bundles);
    uv_loop_close(&g->loop);
    curl_global_cleanup();
    free(g->url);
    free(g);
}

/* ---- running and stopping ---- */

static void notify(struct gateway *g) {
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_notice(g->workers[i], g->deadline_ns);
}

static void next_round(struct gateway *g) {
    struct broker_stats now;
    broker_get_stats(g->shared.broker, &now);
    g->published = now.published;
    g->round++;
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_ask_idle(g->workers[i], g->round);
}

/*
 * Nothing of our own is under way when, twice in a row, every worker said so and nothing was
 * published in between: a publish that one worker made may not have reached another's webhook yet.
 */
static bool drained(struct gateway *g) {
    bool all_idle = true;
    for (unsigned i = 0; i < g->worker_count; i++) {
        bool idle;
        if (!worker_answer(g->workers[i], g->round, &idle))
            return false;
        all_idle = all_idle && idle;
    }
    struct broker_stats now;
    broker_get_stats(g->shared.broker, &now);
    g->idle_rounds = all_idle && now.published == g->published ? g->idle_rounds + 1 : 0;
    next_round(g);
    return g->idle_rounds >= 2;
}

static bool all_ended(const struct gateway *g) {
    for (unsigned i = 0; i < g->worker_count; i++) {
        if (!worker_ended(g->workers[i]))
            return false;
    }
    return true;
}

static void on_stop_tick(uv_timer_t *timer) {
    struct gateway *g = timer->data;
    if (atomic_load(&g->shared.phase) == PHASE_DRAINING) {
        if (!drained(g) && clock_mono_ns() < g->deadline_ns)
            return;
        atomic_store(&g->shared.phase, PHASE_STOPPING);
        /* The second step has its own grace, if the first used it up. */
        g->deadline_ns = clock_mono_ns() + (uint64_t)g->config->limits.stop_grace_ms * 500000u;
        notify(g);
    } else if (all_ended(g)) {
        uv_stop(&g->loop);
    }
}

static bool serves_itself(const struct gateway *g) {
    struct webhook_entry **list;
    size_t count = webhook_set_list(g->shared.webhooks, NULL, &list, NULL);
    bool itself = false;
    for (size_t i = 0; i < count; i++)
        itself = itself || list[i]->own_hook != NULL;
    webhook_list_free(list, count);
    return itself;
}

static void on_signal(uv_signal_t *signal, int number) {
    struct gateway *g = signal->data;
    if (atomic_load(&g->shared.phase) != PHASE_RUNNING) {
        log_warn("told to stop again: not waiting any longer");
        g->deadline_ns = 0;
        atomic_store(&g->shared.phase, PHASE_STOPPING);
        notify(g);
        return;
    }
    log_info("stopping", LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    bool itself = serves_itself(g);
    uint64_t grace_ns = (uint64_t)g->config->limits.stop_grace_ms * 1000000u;
    g->deadline_ns = clock_mono_ns() + (itself ? grace_ns / 2 : grace_ns);
    next_round(g);
    atomic_store(&g->shared.phase, itself ? PHASE_DRAINING : PHASE_STOPPING);
    notify(g);
    uv_timer_start(&g->timer, on_stop_tick, STOP_TICK_MS, STOP_TICK_MS);
}

static void on_refresh(uv_timer_t *timer) {
    const struct gateway *g = timer->data;
    control_refresh(g->shared.control);
}

static void on_webhooks_changed(void *context) {
    const struct gateway *g = context;
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_webhooks_changed(g->workers[i]);
}

static bool start_store(struct gateway *g, struct error *e) {
    if (!store_start(g->store, e))
        return false;
    struct transaction *release = transaction_new(NULL, NULL);
    inbox_table_release(release);
    /* On a damaged database it goes on with memory caches, and with what can be read. */
    return journal_submit_and_wait(store_journal(g->store), release, e) ||
           store_is_damaged(g->store, NULL);
}

bool gateway_run(struct gateway *g, struct error *e) {
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_init(&g->loop, &g->signals[i]);
        g->signals[i].data = g;
        uv_signal_start(&g->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&g->loop, &g->timer);
    g->timer.data = g;
    uv_timer_init(&g->loop, &g->refresh);
    g->refresh.data = g;
    uv_timer_start(&g->refresh, on_refresh, REFRESH_MS, REFRESH_MS);
    webhook_set_listen(g->shared.webhooks, on_webhooks_changed, g);
    bool good = start_store(g, e);
    unsigned started = 0;
    while (good && started < g->worker_count && (good = worker_start(g->workers[started], e)))
        started++;
    if (good) {
        uv_run(&g->loop, UV_RUN_DEFAULT);
    } else if (started > 0) {
        /* Those that run are told to end; worker_free waits for them. */
        atomic_store(&g->shared.phase, PHASE_STOPPING);
        notify(g);
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        uv_close((uv_handle_t *)&g->signals[i], NULL);
    uv_close((uv_handle_t *)&g->timer, NULL);
    uv_close((uv_handle_t *)&g->refresh, NULL);
    uv_run(&g->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        signal(numbers[i], SIG_IGN); /* one more must not spoil the exit code */
    return good;
}
