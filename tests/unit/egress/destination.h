/*
 * destination: an HTTP server on the test's own loop that answers as it is told, and remembers.
 */
#ifndef HOOKMOON_TESTS_UNIT_EGRESS_DESTINATION_H
#define HOOKMOON_TESTS_UNIT_EGRESS_DESTINATION_H

#include <arpa/inet.h>
#include <uv.h>

#include "../test.h"

#define ANSWER(status, headers) "HTTP/1.1 " status "\r\n" headers "Content-Length: 0\r\n\r\n"

struct destination {
    const char *answer;    /* NULL: none, ever */
    unsigned hang_up_at;   /* the request that is read and not answered, counted from 1 */
    bool endless;          /* the answer's body goes on and on */
    unsigned connections;  /* so far */
    unsigned requests;     /* so far, whole ones */
    unsigned unanswered;   /* now */
    struct buffer request; /* the last one */
    int port;
    uv_tcp_t listener;
    struct peer *peers;
};

struct peer {
    struct destination *owner;
    struct peer *next;
    uv_tcp_t tcp;
    struct buffer got;
};

struct answer {
    uv_write_t write;
    uv_buf_t bytes;
};

static void free_peer(uv_handle_t *handle) {
    struct peer *p = handle->data;
    struct peer **at = &p->owner->peers;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    buffer_free(&p->got);
    free(p);
}

static void close_peer(struct peer *p) {
    if (!uv_is_closing((uv_handle_t *)&p->tcp))
        uv_close((uv_handle_t *)&p->tcp, free_peer);
}

static void send_answer(struct peer *p, const char *text, uv_write_cb written);

static void on_written(uv_write_t *write, int status) {
    (void)status;
    free(write);
}

static void on_written_endless(uv_write_t *write, int status) {
    static char more[4096];
    memset(more, 'x', sizeof more - 1);
    struct peer *p = write->handle->data;
    free(write);
    if (status == 0)
        send_answer(p, more, on_written_endless);
    else
        close_peer(p);
}

static void send_answer(struct peer *p, const char *text, uv_write_cb written) {
    struct answer *a = xcalloc(1, sizeof *a);
    a->bytes = uv_buf_init(TEXT(text), (unsigned)strlen(text));
    uv_write(&a->write, (uv_stream_t *)&p->tcp, &a->bytes, 1, written);
}

/* The length of the whole request at the beginning of `got`, 0 when it is not whole yet. */
static size_t whole_request(const struct buffer *got) {
    const char *text = buffer_string(got);
    const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
    if (end == NULL || length == NULL)
        return 0;
    size_t whole = (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10);
    return got->length >= whole ? whole : 0;
}

static void answer_one(struct peer *p, size_t length) {
    struct destination *d = p->owner;
    buffer_clear(&d->request);
    buffer_add(&d->request, p->got.data, length);
    buffer_consume(&p->got, length);
    if (++d->requests == d->hang_up_at)
        close_peer(p);
    else if (d->answer == NULL)
        d->unanswered++;
    else
        send_answer(p, d->answer, d->endless ? on_written_endless : on_written);
}

static void make_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room) {
    struct peer *p = handle->data;
    *room = uv_buf_init(buffer_reserve(&p->got, suggested), (unsigned)suggested);
}

static void on_bytes(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes) {
    (void)bytes;
    struct peer *p = stream->data;
    if (count < 0) {
        close_peer(p);
        return;
    }
    p->got.length += (size_t)count;
    p->got.data[p->got.length] = '\0';
    if (p->got.length > 0 && p->got.data[0] == 0x16) /* TLS, which it does not speak */
        close_peer(p);
    size_t length;
    while (!uv_is_closing((uv_handle_t *)stream) && (length = whole_request(&p->got)) > 0)
        answer_one(p, length);
}

static void on_connection(uv_stream_t *listener, int status) {
    assert_int_equal(status, 0);
    struct destination *d = listener->data;
    struct peer *p = xcalloc(1, sizeof *p);
    p->owner = d;
    p->next = d->peers;
    d->peers = p;
    d->connections++;
    uv_tcp_init(listener->loop, &p->tcp);
    p->tcp.data = p;
    uv_accept(listener, (uv_stream_t *)&p->tcp);
    uv_read_start((uv_stream_t *)&p->tcp, make_room, on_bytes);
}

static void destination_open(struct destination *d, uv_loop_t *loop) {
    struct sockaddr_in address;
    int size = sizeof address;
    uv_tcp_init(loop, &d->listener);
    d->listener.data = d;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&d->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&d->listener, 64, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&d->listener, (struct sockaddr *)&address, &size), 0);
    d->port = ntohs(address.sin_port);
}

/* The loop must run once more. */
static void destination_close(struct destination *d) {
    for (struct peer *p = d->peers; p != NULL; p = p->next)
        close_peer(p);
    uv_close((uv_handle_t *)&d->listener, NULL);
    buffer_free(&d->request);
}

#endif
