/*
 * curl_multi: the ceiling for webhooks out.
 *
 * libcurl's multi interface on one libuv loop, as the gateway uses it, but each request is made of
 * the same body and headers, and nothing is read, signed or kept. What the gateway loses against it
 * is the price of topics, signatures and the disk.
 *
 * Build: cc -std=gnu17 -O2 curl_multi.c -o curl_multi $(pkg-config --cflags --libs libcurl libuv)
 * Run:   curl_multi URL CONCURRENCY SECONDS        (prints a RESULT line)
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static const char body[] =
    "{\"cache\":\"disk\",\"topic\":\"pending\",\"event_timestamp\":1795474804000,"
    "\"publish_timestamp\":1795474804000,\"topic_sequence_number\":100000,\"token_id\":\"\","
    "\"text\":\"Here I am!! :-)!\"}";
static const char *const headers[] = {
    "Content-Type: application/json",
    "momento-signature: 2c09496cdcccca7e671fbbbb4498f3f0070dd50c5cfbf2d49d12b71d585257f5",
    "webhook-id: msg_2c09496cdcccca7e671fbbbb4498f3f0",
    "Expect:",
    "Accept:",
    "X-Request-Id: 2c09496cdcccca7e671fbbbb4498f3f0",
};

static uv_loop_t *loop;
static CURLM *multi;
static uv_timer_t timer, end;
static long posted, failed;

static void collect_ended(void) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (result == CURLE_OK && status == 200)
            posted++;
        else
            failed++;
        curl_multi_remove_handle(multi, easy);
        curl_multi_add_handle(multi, easy);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    int running, flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(multi, (curl_socket_t)(size_t)poll->data, flags, &running);
    collect_ended();
}

static void on_timer(uv_timer_t *t) {
    int running;
    (void)t;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_ended();
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static int want_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *watch) {
    uv_poll_t *poll = watch;
    (void)easy, (void)context;
    if (what == CURL_POLL_REMOVE) {
        if (poll != NULL) {
            uv_close((uv_handle_t *)poll, free_handle);
            curl_multi_assign(multi, socket, NULL);
        }
        return 0;
    }
    if (poll == NULL) {
        poll = calloc(1, sizeof *poll);
        poll->data = (void *)(size_t)socket;
        uv_poll_init_socket(loop, poll, socket);
        curl_multi_assign(multi, socket, poll);
    }
    uv_poll_start(poll,
                  ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                      ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0),
                  on_socket);
    return 0;
}

static int want_timer(CURLM *m, long timeout_ms, void *context) {
    (void)m, (void)context;
    if (timeout_ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes, (void)context;
    return size * count;
}

static void on_end(uv_timer_t *t) {
    uv_stop(t->loop);
}

int main(int argc, char **argv) {
    int concurrency = argc == 4 ? atoi(argv[2]) : 0;
    double seconds = argc == 4 ? atof(argv[3]) : 0;
    struct curl_slist *list = NULL;
    if (concurrency < 1 || seconds <= 0) {
        fprintf(stderr, "usage: %s URL CONCURRENCY SECONDS\n", argv[0]);
        return 2;
    }
    loop = uv_default_loop();
    multi = curl_multi_init();
    uv_timer_init(loop, &timer);
    uv_timer_init(loop, &end);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        list = curl_slist_append(list, headers[i]);
    for (int i = 0; i < concurrency; i++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "bench/1.0");
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
        curl_multi_add_handle(multi, easy);
    }
    uv_timer_start(&end, on_end, (uint64_t)(seconds * 1000), 0);
    uint64_t start = uv_hrtime();
    uv_run(loop, UV_RUN_DEFAULT);
    printf("RESULT {\"rate\":%.0f,\"failed\":%ld}\n",
           (double)posted * 1e9 / (double)(uv_hrtime() - start), failed);
    return failed == 0 ? 0 : 1;
}
