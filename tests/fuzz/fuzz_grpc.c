/*
 * What comes over HTTP/2. The first byte says how the rest is taken: 0, as a connection's bytes; 1,
 * as those behind a well-formed beginning; else as the body of the method of that number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/rpc_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Made anew now and then, as inputs make caches and webhooks. */
#define INPUTS_PER_GATEWAY 500

static struct gateway {
    uv_loop_t loop;
    struct config config;
    struct ingress_shared shared;
    struct store *store;
    struct token_key *key;
    struct mailbox *mailbox;
    struct rpc *rpc;
    struct h2_server *server;
    char dir[40];
    unsigned inputs;
} * gateway;

static void wake_nobody(void *context) {
    (void)context;
}

static void open_store(struct gateway *g) {
    struct error e;
    snprintf(g->dir, sizeof g->dir, "%s/hookmoon-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(g->dir) == NULL || (g->store = store_open(g->dir, true, &e)) == NULL)
        abort();
}

static void close_store(struct gateway *g) {
    static const char *const names[] = {"hookmoon.db", "hookmoon.db-wal", "hookmoon.db-shm",
                                        "lock"};
    store_close(g->store);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = xasprintf("%s/%s", g->dir, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(g->dir);
}

static struct gateway *gateway_open(void) {
    static const struct broker_limits limits = {100, 100, 100, 1 << 20, 1 << 16, 1000000};
    static const struct h2_limits h2_limits = {8192, 100, 10000, 60000};
    struct gateway *g = xcalloc(1, sizeof *g);
    log_setup(LOG_OFF, LOG_JSON);
    uv_loop_init(&g->loop);
    config_init(&g->config);
    g->config.open = true;
    g->config.limits.message_bytes = limits.message_bytes;
    open_store(g);
    g->key = token_key_random();
    g->shared.config = &g->config;
    g->shared.url = "http://127.0.0.1:8080";
    g->shared.broker = broker_new(&limits, 0, NULL);
    g->shared.metrics = metrics_new();
    g->shared.access = access_new(&g->config, g->key);
    g->shared.webhooks = webhook_set_new();
    struct control_options options = {.config = &g->config,
                                      .url = g->shared.url,
                                      .broker = g->shared.broker,
                                      .store = g->store,
                                      .access = g->shared.access,
                                      .token_key = g->key,
                                      .webhooks = g->shared.webhooks};
    g->shared.control = control_new(&options, NULL);
    broker_create_cache(g->shared.broker, "c", &(struct cache_settings){0}, NULL);
    g->mailbox = mailbox_new(g->shared.broker, wake_nobody, NULL);
    g->rpc = rpc_new(&g->shared, &g->loop, g->mailbox);
    struct h2_handler handler = rpc_h2_handler(g->rpc);
    g->server = h2_server_new(&g->loop, &h2_limits, &handler);
    return g;
}

static void gateway_close(struct gateway *g) {
    h2_server_free(g->server);
    rpc_free(g->rpc);
    uv_run(&g->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&g->loop) != 0)
        abort();
    mailbox_free(g->mailbox);
    control_free(g->shared.control);
    webhook_set_free(g->shared.webhooks);
    access_free(g->shared.access);
    metrics_free(g->shared.metrics);
    broker_free(g->shared.broker);
    token_key_free(g->key);
    config_free(&g->config);
    close_store(g);
    free(g);
}

/* ---- a connection ---- */

static void feed(struct gateway *g, const uint8_t *data, size_t size, bool greet) {
    static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    char answer[4096];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        abort();
    if (greet)
        (void)!write(pair[1], greeting, sizeof greeting - 1);
    (void)!write(pair[1], data, size);
    h2_server_adopt(g->server, pair[0]);
    for (int i = 0; i < 6; i++) {
        uv_run(&g->loop, UV_RUN_NOWAIT);
        mailbox_dispatch(g->mailbox);
        (void)!read(pair[1], answer, sizeof answer);
    }
    close(pair[1]);
    for (int i = 0; i < 10 && h2_server_connections(g->server) > 0; i++)
        uv_run(&g->loop, UV_RUN_NOWAIT);
    if (h2_server_connections(g->server) != 0 || h2_server_streams(g->server) != 0)
        abort();
}

/* ---- a message ---- */

static void do_nothing(struct call *c) {
    (void)c;
}

static const struct call_transport no_transport = {do_nothing, do_nothing, do_nothing};

static const struct method *method_number(unsigned number) {
    static const struct method *const tables[] = {pubsub_methods, control_methods, webhook_methods,
                                                  auth_methods};
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct method *m = tables[i]; m->path != NULL; m++) {
            if (number-- == 0)
                return m;
        }
    }
    return NULL;
}

static void run(struct gateway *g, const struct method *m, const uint8_t *data, size_t size) {
    struct error e;
    const struct grpc_frame *frame;
    struct call *c = call_new(g->rpc, &no_transport, NULL);
    if (!call_begin(c, m->path, "", NULL, &e))
        abort();
    buffer_add(&c->body, data, size);
    call_run(c);
    if (!c->ended && c->watch == NULL)
        abort(); /* it must have answered, or be a subscription */
    for (int i = 0; i < 10 && (frame = call_pull(c)) != NULL; i++)
        call_taken(c, frame->length);
    call_free(c, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    if (gateway == NULL)
        gateway = gateway_open();
    const struct method *m = data[0] >= 2 ? method_number(data[0] - 2u) : NULL;
    if (data[0] < 2)
        feed(gateway, data + 1, size - 1, data[0] == 1);
    else if (m != NULL)
        run(gateway, m, data + 1, size - 1);
    if (++gateway->inputs == INPUTS_PER_GATEWAY) {
        gateway_close(gateway);
        gateway = NULL;
    }
    return 0;
}
