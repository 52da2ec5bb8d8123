/* What a webhook sends, how it counts what becomes of it, and what it does when it cannot keep up.
 */
#include "destination.h"

#include <netdb.h>
#include <unistd.h>

#include "auth/momento_signature.h"
#include "egress/delivery.h"
#include "egress/webhook.h"

#define SECRET "test-secret"

struct fixture {
    uv_loop_t loop;
    uv_async_t mail;
    uv_timer_t tick; /* so that waiting ends */
    struct broker *broker;
    struct mailbox *mailbox;
    struct metrics *metrics;
    struct webhook_set *webhooks;
    char *url;
    struct config config;
    struct destination destination;
    struct webhook_sender *sender;
};

/* Names that take long are looked up here: the test's own resolver is in front of libc's. */
static _Atomic unsigned looking_up;

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found) {
    (void)node, (void)service, (void)hints, (void)found;
    looking_up++;
    usleep(1500 * 1000);
    looking_up--;
    return EAI_AGAIN;
}

static void wake(void *context) {
    uv_async_send(context);
}

static void on_mail(uv_async_t *async) {
    struct fixture *f = async->data;
    mailbox_dispatch(f->mailbox);
}

static void on_tick(uv_timer_t *timer) {
    (void)timer;
}

static int set_up(void **state) {
    static const struct broker_limits limits = {100, 100, 1000, 1 << 20, 1 << 20, 1000000};
    struct fixture *f = *state = xcalloc(1, sizeof *f);
    log_setup(LOG_OFF, LOG_JSON);
    uv_loop_init(&f->loop);
    uv_async_init(&f->loop, &f->mail, on_mail);
    f->mail.data = f;
    uv_timer_init(&f->loop, &f->tick);
    uv_timer_start(&f->tick, on_tick, 5, 5);
    f->broker = broker_new(&limits, 0, NULL);
    broker_create_cache(f->broker, "chat", &(struct cache_settings){0}, NULL);
    f->mailbox = mailbox_new(f->broker, wake, &f->mail);
    f->metrics = metrics_new();
    destination_open(&f->destination, &f->loop);
    f->destination.answer = ANSWER("200 OK", "");
    f->webhooks = webhook_set_new();
    f->config.open = true; /* the destination is this machine */
    f->config.limits = (struct config_limits){
        .webhook_queue = 100, .webhook_concurrency = 4, .webhook_timeout_ms = 5000};
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    webhook_sender_free(f->sender);
    destination_close(&f->destination);
    uv_close((uv_handle_t *)&f->mail, NULL);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mailbox_free(f->mailbox);
    broker_free(f->broker);
    metrics_free(f->metrics);
    webhook_set_free(f->webhooks);
    free(f->url);
    free(f);
    return 0;
}

static void start_as(struct fixture *f, const char *host, const char *path, unsigned worker,
                     unsigned workers) {
    f->url = xasprintf("%s:%d%s", host, f->destination.port, path);
    struct webhook_entry *entry = webhook_entry_new("chat", "w", "t", f->url, SECRET);
    entry->policy.once = true;
    webhook_set_put(f->webhooks, entry);
    struct webhook_options options = {.loop = &f->loop,
                                      .mailbox = f->mailbox,
                                      .metrics = f->metrics,
                                      .config = &f->config,
                                      .webhooks = f->webhooks,
                                      .worker = worker,
                                      .workers = workers};
    f->sender = webhook_sender_new(&options, NULL);
    assert_non_null(f->sender);
}

/* At the destination's port. */
static void start(struct fixture *f, const char *host, const char *path) {
    start_as(f, host, path, 0, 1);
}

static void publish(struct fixture *f, const char *text, const char *request_id) {
    struct item *i = item_new(ITEM_TEXT, text, strlen(text), "mo", request_id);
    struct publish p = {"chat", "t", i};
    assert_true(broker_publish(f->mailbox, &p, 1, NULL, NULL, NULL));
    item_unref(i);
}

static void publish_many(struct fixture *f, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        publish(f, "x", "");
}

/* What the metrics say; -1 when there is no such line. */
static int64_t figure(struct fixture *f, const char *name_and_labels) {
    struct buffer text = {0};
    metrics_render(f->metrics, &text);
    const char *at = strstr(buffer_string(&text), name_and_labels);
    int64_t value = at != NULL ? strtoll(at + strlen(name_and_labels), NULL, 10) : -1;
    buffer_free(&text);
    return value;
}

static int64_t outcome(struct fixture *f, const char *word) {
    char *line =
        xasprintf("hookmoon_webhook_deliveries_total{webhook=\"chat/w\",outcome=\"%s\"} ", word);
    int64_t value = figure(f, line);
    free(line);
    return value;
}

#define DROPPED "hookmoon_webhook_dropped_total{webhook=\"chat/w\"} "
#define QUEUED  "hookmoon_webhook_queue{webhook=\"chat/w\"} "
#define TOOK    "hookmoon_webhook_delivery_seconds_count{webhook=\"chat/w\"} "

#define AWAIT(f, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ = clock_mono_ns() + 5000000000u;                                           \
        while (!(condition)) {                                                                     \
            assert_true(clock_mono_ns() < until_);                                                 \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
        }                                                                                          \
    } while (0)

static void run_for_ms(struct fixture *f, unsigned ms) {
    uint64_t until = clock_mono_ns() + ms * 1000000u;
    while (clock_mono_ns() < until)
        uv_run(&f->loop, UV_RUN_ONCE);
}

/* ---- what is sent ---- */

static void test_a_request_is_exactly_this(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/in?token=hidden");
    publish(f, "Here \"I\" am", "request-1");
    AWAIT(f, outcome(f, "ok") == 1);
    char *request = f->destination.request.data, *body = strstr(request, "\r\n\r\n") + 4;
    char hex[MOMENTO_SIGNATURE_HEX + 1];
    struct signer *s = signer_new(SECRET, NULL);
    assert_true(signer_sign(s, body, strlen(body), hex));
    signer_free(s);
    char id[DELIVERY_ID_SIZE];
    const char *given = strstr(request, "webhook-id: ");
    assert_non_null(given);
    memcpy(id, given + strlen("webhook-id: "), sizeof id - 1);
    id[sizeof id - 1] = '\0';
    char *expected = xasprintf(
        "POST /in?token=hidden HTTP/1.1\r\n"
        "Host: 127.0.0.1:%d\r\n"
        "User-Agent: Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)\r\n"
        "Content-Type: application/json\r\n"
        "momento-signature: %s\r\n"
        "webhook-id: %s\r\n"
        "X-Request-Id: request-1\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        f->destination.port, hex, id, strlen(body), body);
    assert_string_equal(request, expected);
    free(expected);
    static const char beginning[] = "{\"cache\":\"chat\",\"topic\":\"t\",\"event_timestamp\":";
    static const char end[] =
        ",\"topic_sequence_number\":1,\"token_id\":\"mo\",\"text\":\"Here \\\"I\\\" am\"}";
    assert_memory_equal(body, beginning, sizeof beginning - 1);
    assert_string_equal(body + strlen(body) - (sizeof end - 1), end);
    assert_int_equal(figure(f, TOOK), 1);
}

static void test_an_item_without_a_request_has_no_id(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/");
    publish(f, "x", "");
    AWAIT(f, outcome(f, "ok") == 1);
    assert_null(strstr(f->destination.request.data, "X-Request-Id"));
}

static void test_only_what_is_published_from_now_on_is_sent(void **state) {
    struct fixture *f = *state;
    publish(f, "before", "");
    start(f, "http://127.0.0.1", "/");
    publish(f, "after", "");
    AWAIT(f, outcome(f, "ok") == 1 && webhook_sender_idle(f->sender));
    assert_int_equal(f->destination.requests, 1);
    assert_non_null(strstr(f->destination.request.data, "\"text\":\"after\""));
}

static void test_a_webhook_belongs_to_one_worker(void **state) {
    struct fixture *f = *state;
    start_as(f, "http://127.0.0.1", "/", 0, 2); /* the first webhook has the id 1 */
    publish(f, "x", "");
    run_for_ms(f, 20);
    assert_int_equal(f->destination.requests, 0);
    assert_int_equal(outcome(f, "ok"), -1);
}

/* ---- following the set ---- */

/* Replaces the webhook; from now on it sends to `path`. */
static void change(struct fixture *f, const char *topic, const char *path, const char *secret) {
    char *url = xasprintf("http://127.0.0.1:%d%s", f->destination.port, path);
    struct webhook_entry *w = webhook_entry_new("chat", "w", topic, url, secret);
    assert_true(broker_topic_position(f->broker, "chat", topic, &w->start, NULL));
    w->policy.once = true;
    webhook_set_put(f->webhooks, w);
    free(url);
}

static void test_a_webhook_that_is_put_sends_what_was_published_since(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/");
    webhook_set_remove(f->webhooks, "chat", "w");
    webhook_sender_update(f->sender);
    publish(f, "before", "");
    change(f, "t", "/", SECRET);
    publish(f, "between", ""); /* the worker has not heard of it yet */
    webhook_sender_update(f->sender);
    AWAIT(f, outcome(f, "ok") == 1 && webhook_sender_idle(f->sender));
    assert_int_equal(f->destination.requests, 1);
    assert_non_null(strstr(f->destination.request.data, "\"text\":\"between\""));
}

static void test_a_removed_webhook_sends_no_more(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/");
    webhook_set_remove(f->webhooks, "chat", "w");
    publish(f, "x", "");
    webhook_sender_update(f->sender);
    run_for_ms(f, 20);
    assert_int_equal(f->destination.requests, 0);
}

static void test_a_changed_destination_gets_what_comes_after(void **state) {
    struct fixture *f = *state;
    f->config.limits.webhook_concurrency = 1;
    start(f, "http://127.0.0.1", "/old");
    publish_many(f, 10);
    change(f, "t", "/new", SECRET);
    publish_many(f, 5);
    webhook_sender_update(f->sender);
    AWAIT(f, outcome(f, "ok") == 15 && webhook_sender_idle(f->sender));
    assert_int_equal(f->destination.requests, 15); /* each once */
    publish(f, "last", "");
    AWAIT(f, outcome(f, "ok") == 16);
    assert_memory_equal(f->destination.request.data, "POST /new ", 10);
}

static void test_a_changed_topic_is_followed(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/");
    publish(f, "of the old topic", "");
    change(f, "another", "/", SECRET);
    webhook_sender_update(f->sender);
    publish(f, "of nobody", "");
    AWAIT(f, outcome(f, "ok") == 1 && webhook_sender_idle(f->sender));
    assert_int_equal(f->destination.requests, 1);
    assert_non_null(strstr(f->destination.request.data, "of the old topic"));
}

static void test_a_rotated_secret_signs_from_now_on(void **state) {
    struct fixture *f = *state;
    char hex[MOMENTO_SIGNATURE_HEX + 1];
    start(f, "http://127.0.0.1", "/");
    change(f, "t", "/", "another-secret");
    webhook_sender_update(f->sender);
    publish(f, "x", "");
    AWAIT(f, outcome(f, "ok") == 1);
    const char *body = strstr(f->destination.request.data, "\r\n\r\n") + 4;
    struct signer *signer = signer_new("another-secret", NULL);
    assert_true(signer_sign(signer, body, strlen(body), hex));
    assert_non_null(strstr(f->destination.request.data, hex));
    signer_free(signer);
}

static void test_a_connection_is_used_again(void **state) {
    struct fixture *f = *state;
    f->config.limits.webhook_concurrency = 1;
    start(f, "http://127.0.0.1", "/");
    publish_many(f, 20);
    AWAIT(f, outcome(f, "ok") == 20);
    assert_int_equal(f->destination.connections, 1);
}

/* libcurl sends again of itself when a connection that was kept dies before a byte of an answer. */
static void test_an_item_is_sent_once_even_when_a_kept_connection_dies(void **state) {
    struct fixture *f = *state;
    f->config.limits.webhook_concurrency = 1;
    f->destination.hang_up_at = 2;
    start(f, "http://127.0.0.1", "/");
    publish_many(f, 2);
    AWAIT(f, outcome(f, "ok") + outcome(f, "other") == 2);
    assert_int_equal(f->destination.requests, 2);
    assert_int_equal(outcome(f, "other"), 1);
    publish_many(f, 1);
    AWAIT(f, outcome(f, "ok") == 2);
}

/* ---- what becomes of it ---- */

static void expect_outcome(struct fixture *f, const char *host, const char *word) {
    start(f, host, "/");
    publish(f, "x", "");
    AWAIT(f, figure(f, TOOK) == 1);
    assert_int_equal(outcome(f, word), 1);
    assert_true(webhook_sender_idle(f->sender));
}

static void test_any_2xx_is_ok(void **state) {
    struct fixture *f = *state;
    f->destination.answer = "HTTP/1.1 204 No Content\r\n\r\n";
    expect_outcome(f, "http://127.0.0.1", "ok");
}

static void test_an_answer_without_end_is_cut_and_counts_by_its_status(void **state) {
    struct fixture *f = *state;
    f->destination.answer = "HTTP/1.1 200 OK\r\n\r\n";
    f->destination.endless = true;
    expect_outcome(f, "http://127.0.0.1", "ok");
}

static void test_another_status_is_a_failure(void **state) {
    struct fixture *f = *state;
    f->destination.answer = ANSWER("500 Internal Server Error", "");
    expect_outcome(f, "http://127.0.0.1", "status");
}

static void test_a_redirect_is_not_followed(void **state) {
    struct fixture *f = *state;
    f->destination.answer = ANSWER("302 Found", "Location: /elsewhere\r\n");
    expect_outcome(f, "http://127.0.0.1", "redirect");
    run_for_ms(f, 20);
    assert_int_equal(f->destination.requests, 1);
}

static void test_no_answer_in_time(void **state) {
    struct fixture *f = *state;
    f->destination.answer = NULL;
    f->config.limits.webhook_timeout_ms = 50;
    expect_outcome(f, "http://127.0.0.1", "timeout");
}

static void test_hanging_up(void **state) {
    struct fixture *f = *state;
    f->destination.hang_up_at = 1;
    expect_outcome(f, "http://127.0.0.1", "other");
}

static void test_refusing(void **state) {
    struct fixture *f = *state;
    f->destination.port = 1;
    expect_outcome(f, "http://127.0.0.1", "connect");
}

static void test_no_tls_where_there_should_be(void **state) {
    expect_outcome(*state, "https://127.0.0.1", "tls");
}

static void test_only_http_is_spoken(void **state) {
    expect_outcome(*state, "ftp://127.0.0.1", "other");
}

/* A name server that does not answer must not hold up the worker, which serves everyone else. */
static void test_a_slow_name_server_holds_up_nobody(void **state) {
    struct fixture *f = *state;
    f->config.limits.webhook_timeout_ms = 50;
    uint64_t began = clock_mono_ns();
    expect_outcome(f, "http://slow.test", "timeout");
    assert_true(clock_mono_ns() - began < 1000000000u);
    assert_int_equal(looking_up, 1);
    publish(f, "x", "");
    AWAIT(f, looking_up == 2);
    webhook_sender_free(f->sender); /* while it is looked up */
    f->sender = NULL;
    assert_true(clock_mono_ns() - began < 1000000000u);
    AWAIT(f, looking_up == 0);
}

/* ---- when it cannot keep up ---- */

static void test_so_many_requests_at_once_and_no_more(void **state) {
    struct fixture *f = *state;
    f->destination.answer = NULL;
    start(f, "http://127.0.0.1", "/");
    publish_many(f, 10);
    AWAIT(f, f->destination.unanswered == 4);
    run_for_ms(f, 20);
    assert_int_equal(f->destination.unanswered, 4);
    assert_int_equal(figure(f, QUEUED), 6);
    assert_false(webhook_sender_idle(f->sender));
}

static void test_a_full_queue_leaves_the_rest_in_the_ring(void **state) {
    struct fixture *f = *state;
    f->config.limits.webhook_queue = 2;
    start(f, "http://127.0.0.1", "/");
    publish_many(f, 500);
    AWAIT(f, outcome(f, "ok") == 500);
    assert_int_equal(figure(f, DROPPED), 0);
    assert_int_equal(figure(f, QUEUED), 0);
}

static void test_what_the_ring_lost_is_counted(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/");
    publish_many(f, 1500); /* the ring holds 1000 */
    AWAIT(f, outcome(f, "ok") == 1000);
    assert_int_equal(figure(f, DROPPED), 500);
    assert_true(webhook_sender_idle(f->sender));
}

static void test_not_idle_while_something_published_is_unread(void **state) {
    struct fixture *f = *state;
    start(f, "http://127.0.0.1", "/");
    assert_true(webhook_sender_idle(f->sender));
    publish(f, "x", "");
    assert_false(webhook_sender_idle(f->sender));
    AWAIT(f, outcome(f, "ok") == 1);
    assert_true(webhook_sender_idle(f->sender));
}

static void test_what_is_left_at_the_end_is_counted(void **state) {
    struct fixture *f = *state;
    f->destination.answer = NULL;
    f->config.limits.webhook_queue = 3;
    start(f, "http://127.0.0.1", "/");
    publish_many(f, 10);
    AWAIT(f, f->destination.unanswered == 4);
    publish_many(f, 5);
    webhook_sender_free(f->sender);
    f->sender = NULL;
    assert_int_equal(figure(f, DROPPED), 15);
    assert_int_equal(figure(f, QUEUED), 0);
}

/* ---- the log ---- */

struct captured {
    FILE *file;
    int stderr_before;
};

static void capture(struct captured *c) {
    fflush(stderr);
    c->file = tmpfile();
    c->stderr_before = dup(STDERR_FILENO);
    dup2(fileno(c->file), STDERR_FILENO);
    log_setup(LOG_WARN, LOG_JSON);
}

/* What was logged since, and the number of its lines. */
static unsigned captured(struct captured *c, struct buffer *text) {
    log_setup(LOG_OFF, LOG_JSON);
    dup2(c->stderr_before, STDERR_FILENO);
    close(c->stderr_before);
    rewind(c->file);
    unsigned lines = 0;
    for (int byte; (byte = getc(c->file)) != EOF; buffer_add_char(text, (char)byte))
        lines += byte == '\n';
    fclose(c->file);
    return lines;
}

static void test_failures_are_a_line_a_second_without_secrets(void **state) {
    struct fixture *f = *state;
    struct captured c;
    struct buffer text = {0};
    f->destination.answer = ANSWER("503 Service Unavailable", "");
    start(f, "http://user:hidden@127.0.0.1", "/in?token=hidden");
    capture(&c);
    publish(f, "x", "request-1");
    publish_many(f, 99);
    AWAIT(f, outcome(f, "status") == 100);
    assert_in_range(captured(&c, &text), 1, 4);
    assert_non_null(strstr(text.data, "\"webhook\":\"chat/w\""));
    assert_non_null(strstr(text.data, "\"why\":\"status 503\""));
    char *place = xasprintf("\"url\":\"http://127.0.0.1:%d/in\"", f->destination.port);
    assert_non_null(strstr(text.data, place));
    free(place);
    assert_null(strstr(text.data, "hidden"));
    assert_null(strstr(text.data, SECRET));
    buffer_free(&text);
}

static void test_losses_are_a_line_a_second(void **state) {
    struct fixture *f = *state;
    struct captured c;
    struct buffer text = {0};
    f->config.limits.webhook_queue = 1;
    f->config.limits.webhook_concurrency = 1;
    start(f, "http://127.0.0.1", "/");
    capture(&c);
    for (unsigned i = 0; i < 50; i++) {
        publish_many(f, 1100);
        unsigned before = f->destination.requests;
        AWAIT(f, f->destination.requests > before + 2);
    }
    assert_in_range(captured(&c, &text), 1, 6);
    assert_non_null(strstr(text.data, "webhook items dropped"));
    assert_true(figure(f, DROPPED) > 4000);
    buffer_free(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_exactly_this),
        TEST(test_an_item_without_a_request_has_no_id),
        TEST(test_only_what_is_published_from_now_on_is_sent),
        TEST(test_a_webhook_belongs_to_one_worker),
        TEST(test_a_webhook_that_is_put_sends_what_was_published_since),
        TEST(test_a_removed_webhook_sends_no_more),
        TEST(test_a_changed_destination_gets_what_comes_after),
        TEST(test_a_changed_topic_is_followed),
        TEST(test_a_rotated_secret_signs_from_now_on),
        TEST(test_a_connection_is_used_again),
        TEST(test_an_item_is_sent_once_even_when_a_kept_connection_dies),
        TEST(test_any_2xx_is_ok),
        TEST(test_an_answer_without_end_is_cut_and_counts_by_its_status),
        TEST(test_another_status_is_a_failure),
        TEST(test_a_redirect_is_not_followed),
        TEST(test_no_answer_in_time),
        TEST(test_hanging_up),
        TEST(test_refusing),
        TEST(test_no_tls_where_there_should_be),
        TEST(test_only_http_is_spoken),
        TEST(test_a_slow_name_server_holds_up_nobody),
        TEST(test_so_many_requests_at_once_and_no_more),
        TEST(test_a_full_queue_leaves_the_rest_in_the_ring),
        TEST(test_what_the_ring_lost_is_counted),
        TEST(test_not_idle_while_something_published_is_unread),
        TEST(test_what_is_left_at_the_end_is_counted),
        TEST(test_failures_are_a_line_a_second_without_secrets),
        TEST(test_losses_are_a_line_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
