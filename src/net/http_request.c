/*
 * One request, from its first line to its answer.
 */
#include "net/http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <utlist.h>

/* A refused body is read and thrown away up to this size, so that the client gets to read why. */
#define SWALLOW_BYTES (1024 * 1024)

static void request_free(struct http_request *r) {
    struct http_header *h = r->headers;
    while (h != NULL) {
        struct http_header *next = h->next;
        free(h->value);
        free(h);
        h = next;
    }
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    buffer_free(&r->body);
    free(r->path);
    free(r);
}

/* Ends what the handler holds and lets go of the socket; the struct itself may live on. */
static void request_let_go(struct http_request *r) {
    if (r->watch != NULL)
        http_request_watch(r, -1);
    if (r->gone != NULL) {
        void (*gone)(struct http_request *, void *) = r->gone;
        r->gone = NULL;
        gone(r, r->data);
    }
    if (r->stream != NULL)
        http_stream_free(r->stream);
    r->stream = NULL;
    http_request_end_upgrade(r);
}

void *http_on_uri(void *context, const char *uri, struct MHD_Connection *connection) {
    struct http_server *s = context;
    struct http_request *r = xcalloc(1, sizeof *r);
    r->server = s;
    r->connection = connection;
    r->path = xstrndup(uri, strcspn(uri, "?"));
    r->started_ms = uv_now(s->loop);
    request_id_write(r->id, (uint32_t)s->id_prefix, ++s->id_next);
    DL_APPEND(s->requests, r);
    s->in_flight++;
    return r;
}

void http_on_completed(void *context, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode why) {
    (void)connection, (void)why;
    struct http_server *s = context;
    struct http_request *r = *request;
    if (r == NULL)
        return;
    *request = NULL;
    request_let_go(r);
    DL_DELETE(s->requests, r);
    s->in_flight--;
    request_free(r);
}

/* Answers past libmicrohttpd, which takes an answer only before or after the whole body, and cuts
 * the connection. Sound because no byte of another answer is under way while a request arrives. */
static void cut(struct http_request *r, unsigned status, const char *reason, const char *code,
                const char *message) {
    char body[256], answer[512];
    int body_length =
        snprintf(body, sizeof body, "{\"code\":\"%s\",\"message\":\"%s\"}\n", code, message);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
                          "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
                          status, reason, body_length, body);
    int fd = http_request_socket(r);
    (void)!send(fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    if (r->response != NULL) /* another answer, which waited for the body */
        MHD_destroy_response(r->response);
    r->response = NULL;
    r->state = REQUEST_REPLIED;
    r->status = status;
}

static void add_answer_headers(struct http_request *r) {
    for (struct http_header *h = r->headers; h != NULL; h = h->next)
        MHD_add_response_header(r->response, h->name, h->value);
    MHD_add_response_header(r->response, "X-Request-Id", r->id);
    if (r->server->stopping)
        MHD_add_response_header(r->response, "Connection", "close");
}

enum MHD_Result http_request_queue(struct http_request *r) {
    enum MHD_Result result = MHD_queue_response(r->connection, r->status, r->response);
    MHD_destroy_response(r->response);
    r->response = NULL;
    return result;
}

static enum MHD_Result begin(struct http_request *r, const char *method, const char *version) {
    struct http_server *s = r->server;
    r->method = method;
    r->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    r->in_handler = true;
    r->body_limit = s->handler.on_headers(r, s->handler.context);
    r->in_handler = false;
    const char *size = http_request_header(r, "Content-Length");
    if (size != NULL && http_request_header(r, "Transfer-Encoding") != NULL) {
        /* Two lengths: a proxy in front may read the other one (RFC 9112, section 6.1). */
        cut(r, 400, "Bad Request", "invalid_argument",
            "Content-Length and Transfer-Encoding exclude each other");
        return MHD_NO;
    }
    unsigned long long announced = size != NULL ? strtoull(size, NULL, 10) : 0;
    if (r->state == REQUEST_RECEIVING && announced > r->body_limit) {
        char body[128];
        int n = snprintf(body, sizeof body,
                         "{\"code\":\"payload_too_large\",\"message\":\"the body may have at most "
                         "%zu bytes\"}\n",
                         r->body_limit);
        http_request_reply(r, 413, "application/json", body, (size_t)n);
    }
    if (r->state == REQUEST_REPLIED &&
        (announced > SWALLOW_BYTES || http_request_header(r, "Expect") != NULL))
        return http_request_queue(r);
    if (announced > 0 && announced <= r->body_limit)
        buffer_reserve(&r->body, (size_t)announced);
    return MHD_YES;
}

static enum MHD_Result receive(struct http_request *r, const char *upload, size_t *size) {
    size_t limit = r->state == REQUEST_RECEIVING ? r->body_limit : SWALLOW_BYTES;
    if (r->body.length + *size <= limit) {
        if (r->state == REQUEST_RECEIVING)
            buffer_add(&r->body, upload, *size);
        else
            r->body.length += *size; /* thrown away, but counted */
    } else if (r->state == REQUEST_RECEIVING) {
        cut(r, 413, "Content Too Large", "payload_too_large", "the body is too large");
        buffer_free(&r->body);
    } else {
        return MHD_NO;
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result complete(struct http_request *r) {
    if (r->state == REQUEST_REPLIED)
        return r->response != NULL ? http_request_queue(r) : MHD_NO;
    if (r->state == REQUEST_RECEIVING) {
        struct http_server *s = r->server;
        r->state = REQUEST_WAITING;
        if (r->body.data == NULL)
            buffer_reserve(&r->body, 0)[0] = '\0';
        r->in_handler = true;
        s->handler.on_request(r, s->handler.context);
        r->in_handler = false;
        if (r->state == REQUEST_REPLIED)
            return http_request_queue(r);
    }
    http_request_suspend(r);
    return MHD_YES;
}

enum MHD_Result http_on_access(void *context, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request) {
    (void)context, (void)connection, (void)url;
    struct http_request *r = *request;
    if (r->method == NULL)
        return begin(r, method, version);
    if (*upload_size > 0)
        return receive(r, upload, upload_size);
    return complete(r);
}

int http_request_socket(const struct http_request *r) {
    return MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* ---- waiting ---- */

static void on_watch(uv_poll_t *poll, int status, int events) {
    struct http_request *r = poll->data;
    if (status != 0 || (events & UV_DISCONNECT) != 0) {
        /* The client is gone; MHD finds out when it touches the socket again. */
        shutdown(http_request_socket(r), SHUT_RDWR);
        request_let_go(r);
        if (r->state != REQUEST_REPLIED)
            http_request_reply(r, 503, NULL, NULL, 0);
        http_request_resume(r);
    } else if ((events & UV_WRITABLE) != 0 && r->stream != NULL) {
        http_stream_flush(r->stream);
    }
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle);
}

void http_request_watch(struct http_request *r, int events) {
    if (events < 0) {
        uv_poll_stop(r->watch); /* before MHD closes the descriptor: libuv must have let go */
        uv_close((uv_handle_t *)r->watch, on_watch_closed);
        r->watch = NULL;
        return;
    }
    if (r->watch == NULL) {
        r->watch = xcalloc(1, sizeof *r->watch);
        uv_poll_init(r->server->loop, r->watch, http_request_socket(r));
        r->watch->data = r;
    }
    uv_poll_start(r->watch, events | UV_DISCONNECT, on_watch);
}

void http_request_suspend(struct http_request *r) {
    MHD_suspend_connection(r->connection);
    r->suspended = true;
    if (!r->soon)
        http_request_watch(r, 0);
}

void http_request_answers_soon(struct http_request *r) {
    r->soon = true;
}

void http_request_resume(struct http_request *r) {
    if (!r->suspended)
        return;
    if (r->watch != NULL)
        http_request_watch(r, -1);
    r->suspended = false;
    MHD_resume_connection(r->connection);
    http_server_kick(r->server);
}

void http_requests_expire(struct http_server *s, uint64_t now_ms) {
    uint64_t limit = (uint64_t)s->limits.request_timeout_ms;
    struct http_request *r, *next;
    DL_FOREACH_SAFE(s->requests, r, next) {
        if (r->suspended && r->watch == NULL) /* it was not soon */
            http_request_watch(r, 0);
        if (now_ms - r->started_ms < limit || r->suspended)
            continue;
        bool refused = r->state == REQUEST_REPLIED && r->response != NULL; /* before its body */
        if (r->state == REQUEST_RECEIVING || refused)
            cut(r, 408, "Request Timeout", "request_timeout",
                "the request took too long to arrive");
        else if (r->state == REQUEST_REPLIED && r->stream == NULL && r->upgraded == NULL)
            shutdown(http_request_socket(r), SHUT_RDWR); /* the answer is not being read */
    }
    http_server_kick(s);
}

void http_requests_abandon(struct http_server *s) {
    struct http_request *r;
    DL_FOREACH(s->requests, r) {
        shutdown(http_request_socket(r), SHUT_RDWR);
        request_let_go(r);
        if (r->state != REQUEST_REPLIED)
            http_request_reply(r, 503, NULL, NULL, 0);
        http_request_resume(r);
    }
}

/* ---- what handlers call ---- */

const char *http_request_id(const struct http_request *r) {
    return r->id;
}

const char *http_request_method(const struct http_request *r) {
    return r->method;
}

const char *http_request_path(const struct http_request *r) {
    return r->path;
}

const char *http_request_header(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *http_request_argument(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct each {
    http_each *each;
    void *context;
    const char *name; /* count only this one */
    unsigned count;
};

static enum MHD_Result on_value(void *context, enum MHD_ValueKind kind, const char *name,
                                const char *value) {
    (void)kind;
    struct each *e = context;
    if (e->each != NULL)
        e->each(e->context, name, value != NULL ? value : "");
    else if (strcasecmp(name, e->name) == 0)
        e->count++;
    return MHD_YES;
}

unsigned http_request_header_count(const struct http_request *r, const char *name) {
    struct each e = {.name = name};
    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_value, &e);
    return e.count;
}

void http_request_each_header(const struct http_request *r, http_each *each, void *context) {
    struct each e = {.each = each, .context = context};
    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_value, &e);
}

void http_request_each_argument(const struct http_request *r, http_each *each, void *context) {
    struct each e = {.each = each, .context = context};
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, on_value, &e);
}

const char *http_request_body(const struct http_request *r, size_t *length) {
    *length = r->body.length;
    return buffer_string(&r->body);
}

void http_request_set_data(struct http_request *r, void *data,
                           void (*gone)(struct http_request *, void *)) {
    r->data = data;
    r->gone = gone;
}

void *http_request_data(const struct http_request *r) {
    return r->data;
}

void http_request_set_header(struct http_request *r, const char *name, const char *value) {
    struct http_header *h = xcalloc(1, sizeof *h);
    h->name = name;
    h->value = xstrdup(value);
    h->next = r->headers;
    r->headers = h;
}

void http_request_answer(struct http_request *r, unsigned status, struct MHD_Response *response) {
    r->state = REQUEST_REPLIED;
    r->status = status;
    r->response = response;
    add_answer_headers(r);
    if (!r->in_handler)
        http_request_resume(r);
}

void http_request_reply(struct http_request *r, unsigned status, const char *type, const void *body,
                        size_t length) {
    if (r->state == REQUEST_REPLIED)
        return;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (type != NULL)
        MHD_add_response_header(response, "Content-Type", type);
    http_request_answer(r, status, response);
}

bool http_request_replied(const struct http_request *r) {
    return r->state == REQUEST_REPLIED;
}

unsigned http_request_status(const struct http_request *r) {
    return r->status;
}

/* ---- the start of a stream; the rest is http_stream.c's ---- */

static ssize_t on_stream_wanted(void *context, uint64_t position, char *room, size_t size) {
    (void)position, (void)room, (void)size;
    struct http_stream *stream = context;
    if (stream->request == NULL || stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    /* The headers are out. From here on the socket is written to directly, with frames that all
     * subscribers share; libmicrohttpd gets the connection back to end it. */
    stream->live = true;
    http_request_suspend(stream->request);
    http_stream_flush(stream);
    return 0;
}

struct http_stream *http_request_stream(struct http_request *r, unsigned status, const char *type,
                                        void (*on_writable)(void *), void *context) {
    struct http_stream *stream = xcalloc(1, sizeof *stream);
    stream->request = r;
    stream->chunked = !r->http_1_0;
    stream->on_writable = on_writable;
    stream->context = context;
    r->stream = stream;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16, on_stream_wanted, stream, free);
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    http_request_answer(r, status, response);
    return stream;
}
