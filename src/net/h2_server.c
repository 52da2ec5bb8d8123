#include "net/h2_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <utlist.h>

#define READ_BYTES        (64 * 1024)
#define READS_PER_TURN    4
#define OUT_BYTES         (256 * 1024) /* gathered at most before it is written */
#define STREAM_WINDOW     (1024 * 1024)
#define CONNECTION_WINDOW (16 * 1024 * 1024)
#define SWEEP_MS          250
#define HEADERS_MAX       16
/* Resets: so many at once and so many a second are a client's business (a program that ends its
 * subscriptions); more is an attack (CVE-2023-44487). */
#define RESETS_AT_ONCE    4000
#define RESETS_PER_SECOND 500
/* Without an acknowledgement for so long, the peer is gone. */
#define PEER_TIMEOUT_MS 20000

enum field { METHOD, PATH, AUTHORITY, CONTENT_TYPE, AUTHORIZATION, TIMEOUT, ENCODING, FIELDS };

static const struct {
    const char *name;
    size_t length;
} fields[FIELDS] = {
    [METHOD] = {":method", sizeof ":method" - 1},
    [PATH] = {":path", sizeof ":path" - 1},
    [AUTHORITY] = {":authority", sizeof ":authority" - 1},
    [CONTENT_TYPE] = {"content-type", sizeof "content-type" - 1},
    [AUTHORIZATION] = {"authorization", sizeof "authorization" - 1},
    [TIMEOUT] = {"grpc-timeout", sizeof "grpc-timeout" - 1},
    [ENCODING] = {"grpc-encoding", sizeof "grpc-encoding" - 1},
};

struct h2_stream {
    struct h2_stream *next, *prev; /* of the connection's streams */
    struct h2_connection *connection;
    int32_t id;
    size_t header_bytes;
    bool headers_in, ended, answered, refuse_rest;
    uint64_t deadline_ms; /* to be whole */
    nghttp2_rcbuf *values[FIELDS];
    void *data;
};

struct h2_connection {
    struct h2_connection *next, *prev;
    struct h2_server *server;
    nghttp2_session *session;
    uv_poll_t poll;
    int fd;
    int events;
    struct buffer out; /* what the socket did not take */
    bool dirty;        /* something may be to be written */
    bool closing;
    struct h2_connection *next_dirty;
    struct h2_stream *streams;
    unsigned stream_count;
    uint64_t active_ms; /* of the last bytes received */
    void *data;
};

struct h2_server {
    uv_loop_t *loop;
    struct h2_handler handler;
    struct h2_limits limits;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct h2_connection *connections;
    struct h2_connection *dirty;
    unsigned count;
    unsigned streams;
    bool stopping;
    uv_prepare_t prepare;
    uv_timer_t sweep;
    uint8_t input[READ_BYTES];
};

/* ---- writing ---- */

static void mark_dirty(struct h2_connection *c) {
    if (c->dirty || c->closing)
        return;
    c->dirty = true;
    c->next_dirty = c->server->dirty;
    c->server->dirty = c;
}

static void close_connection(struct h2_connection *c);
static void on_poll(uv_poll_t *poll, int status, int events);

static void set_events(struct h2_connection *c) {
    /* Whoever does not read what we answer is not read from. */
    int events = c->out.length > 0 ? UV_WRITABLE : UV_READABLE;
    if (events == c->events)
        return;
    c->events = events;
    uv_poll_start(&c->poll, events, on_poll);
}

/* False: the connection is lost. */
static bool write_out(struct h2_connection *c) {
    size_t sent = 0;
    while (sent < c->out.length) {
        ssize_t n =
            send(c->fd, c->out.data + sent, c->out.length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            return false;
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    buffer_consume(&c->out, sent);
    return true;
}

/* Writes what the session has, until the socket is full or nothing is left. */
static bool flush(struct h2_connection *c) {
    for (;;) {
        while (c->out.length < OUT_BYTES) {
            const uint8_t *bytes;
            ssize_t n = nghttp2_session_mem_send(c->session, &bytes);
            if (n < 0)
                return false;
            if (n == 0)
                break;
            buffer_add(&c->out, bytes, (size_t)n);
        }
        if (c->out.length == 0)
            break;
        if (!write_out(c))
            return false;
        if (c->out.length > 0)
            break;
    }
    if (c->out.length == 0)
        buffer_free(&c->out); /* an idle connection costs no buffer */
    return c->out.length > 0 || nghttp2_session_want_read(c->session) ||
           nghttp2_session_want_write(c->session);
}

static void flush_or_close(struct h2_connection *c) {
    if (c->closing)
        return;
    if (flush(c))
        set_events(c);
    else
        close_connection(c);
}

static void on_prepare(uv_prepare_t *prepare) {
    struct h2_server *s = prepare->data;
    while (s->dirty != NULL) {
        struct h2_connection *c = s->dirty;
        s->dirty = c->next_dirty;
        c->dirty = false;
        flush_or_close(c);
    }
}

/* ---- streams ---- */

static struct h2_stream *stream_new(struct h2_connection *c, int32_t id) {
    struct h2_server *server = c->server;
    struct h2_stream *s = xcalloc(1, sizeof *s);
    s->connection = c;
    s->id = id;
    s->deadline_ms = uv_now(server->loop) + (uint64_t)server->limits.request_timeout_ms;
    DL_APPEND(c->streams, s);
    c->stream_count++;
    server->streams++;
    nghttp2_session_set_stream_user_data(c->session, id, s);
    return s;
}

static void drop_values(struct h2_stream *s) {
    for (size_t i = 0; i < FIELDS; i++) {
        if (s->values[i] != NULL)
            nghttp2_rcbuf_decref(s->values[i]);
        s->values[i] = NULL;
    }
}

static void stream_free(struct h2_stream *s, bool cancelled) {
    struct h2_connection *c = s->connection;
    const struct h2_handler *h = &c->server->handler;
    if (s->headers_in)
        h->on_closed(s, cancelled, h->context);
    DL_DELETE(c->streams, s);
    c->stream_count--;
    c->server->streams--;
    drop_values(s);
    free(s);
}

static const char *value_of(const struct h2_stream *s, enum field f) {
    return s->values[f] != NULL ? (const char *)nghttp2_rcbuf_get_buf(s->values[f]).base : NULL;
}

static void request_in(struct h2_stream *s) {
    const struct h2_server *server = s->connection->server;
    const struct h2_handler *h = &server->handler;
    struct h2_request r = {
        .method = value_of(s, METHOD),
        .path = value_of(s, PATH),
        .authority = value_of(s, AUTHORITY),
        .content_type = value_of(s, CONTENT_TYPE),
        .authorization = value_of(s, AUTHORIZATION),
        .grpc_timeout = value_of(s, TIMEOUT),
        .grpc_encoding = value_of(s, ENCODING),
        .too_large = s->header_bytes > server->limits.header_bytes,
    };
    s->headers_in = true;
    h->on_request(s, &r, h->context);
    drop_values(s); /* an open stream costs little */
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data) {
    struct h2_connection *c = data;
    (void)session;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (c->stream_count >= c->server->limits.streams) {
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    stream_new(c, frame->hd.stream_id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *data) {
    struct h2_connection *c = data;
    (void)flags;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s == NULL || s->headers_in)
        return 0;
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    s->header_bytes += n.len + v.len + 32; /* as RFC 9113 counts them */
    if (s->header_bytes > c->server->limits.header_bytes)
        return 0;
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].length == n.len && memcmp(fields[i].name, n.base, n.len) == 0 &&
            s->values[i] == NULL && memchr(v.base, '\0', v.len) == NULL) {
            nghttp2_rcbuf_incref(value);
            s->values[i] = value;
            break;
        }
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data) {
    struct h2_connection *c = data;
    const struct h2_handler *h = &c->server->handler;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !s->headers_in)
        request_in(s);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !s->ended) {
        s->ended = true;
        h->on_end(s, h->context);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t length, void *data) {
    struct h2_connection *c = data;
    const struct h2_handler *h = &c->server->handler;
    (void)flags;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s != NULL)
        h->on_data(s, bytes, length, h->context);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *data) {
    (void)data;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s == NULL)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    stream_free(s, code == NGHTTP2_CANCEL);
    return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data) {
    (void)data;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s != NULL && s->refuse_rest && !s->ended &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *data) {
    (void)session, (void)id;
    struct h2_connection *c = data;
    const struct h2_handler *h = &c->server->handler;
    bool end = false;
    size_t n = h->on_pull(source->ptr, bytes, room, &end, h->context);
    if (end)
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return n == 0 && !end ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

/* ---- the connection ---- */

static void on_connection_closed(uv_handle_t *handle) {
    struct h2_connection *c = handle->data;
    free(c);
}

static void close_connection(struct h2_connection *c) {
    struct h2_server *s = c->server;
    if (c->closing)
        return;
    c->closing = true;
    while (c->streams != NULL)
        stream_free(c->streams, false);
    if (s->handler.on_connection_closed != NULL)
        s->handler.on_connection_closed(c, s->handler.context);
    nghttp2_session_del(c->session);
    if (c->dirty) {
        for (struct h2_connection **at = &s->dirty; *at != NULL; at = &(*at)->next_dirty) {
            if (*at == c) {
                *at = c->next_dirty;
                break;
            }
        }
    }
    buffer_free(&c->out);
    DL_DELETE(s->connections, c);
    s->count--;
    uv_poll_stop(&c->poll);
    close(c->fd);
    uv_close((uv_handle_t *)&c->poll, on_connection_closed);
}

/* False: the connection is to be closed. */
static bool receive(struct h2_connection *c) {
    struct h2_server *s = c->server;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(c->fd, s->input, sizeof s->input, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        if (n == 0)
            return false;
        c->active_ms = uv_now(s->loop);
        ssize_t used = nghttp2_session_mem_recv(c->session, s->input, (size_t)n);
        if (used < 0) {
            log_debug("HTTP/2 connection failed", LOG_STR("error", nghttp2_strerror((int)used)));
            flush(c); /* a GOAWAY says why */
            return false;
        }
        if ((size_t)n < sizeof s->input)
            break;
    }
    return true;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct h2_connection *c = poll->data;
    if (status != 0 || ((events & UV_READABLE) != 0 && !receive(c))) {
        close_connection(c);
        return;
    }
    if ((events & UV_WRITABLE) != 0 && !write_out(c)) {
        close_connection(c);
        return;
    }
    mark_dirty(c);
}

static bool greet(struct h2_connection *c) {
    const struct h2_limits *limits = &c->server->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0},
    };
    return nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) ==
               0 &&
           nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                 CONNECTION_WINDOW) == 0;
}

void h2_server_adopt(struct h2_server *s, int fd) {
    struct h2_connection *c = xcalloc(1, sizeof *c);
    int on = 1, patience = PEER_TIMEOUT_MS;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    c->server = s;
    c->fd = fd;
    c->active_ms = uv_now(s->loop);
    if (nghttp2_session_server_new2(&c->session, s->callbacks, c, s->option) != 0 || !greet(c)) {
        log_error("an HTTP/2 session does not start");
        nghttp2_session_del(c->session);
        close(fd);
        free(c);
        return;
    }
    uv_poll_init(s->loop, &c->poll, fd);
    c->poll.data = c;
    DL_APPEND(s->connections, c);
    s->count++;
    set_events(c);
    if (s->stopping)
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    mark_dirty(c);
}

/* ---- the server ---- */

static void sweep_connection(struct h2_connection *c, uint64_t now) {
    const struct h2_handler *h = &c->server->handler;
    struct h2_stream *stream, *next;
    DL_FOREACH_SAFE(c->streams, stream, next) {
        if (stream->ended || now < stream->deadline_ms)
            continue;
        if (stream->headers_in && !stream->answered)
            h->on_late(stream, h->context);
        else if (!stream->headers_in)
            nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
        mark_dirty(c);
    }
    bool idle =
        c->streams == NULL &&
        (c->server->stopping || now - c->active_ms >= (uint64_t)c->server->limits.idle_timeout_ms);
    if (idle && c->out.length == 0) {
        nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
        mark_dirty(c);
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct h2_server *s = timer->data;
    struct h2_connection *c, *next;
    uint64_t now = uv_now(s->loop);
    DL_FOREACH_SAFE(s->connections, c, next)
    sweep_connection(c, now);
}

static void set_up(struct h2_server *s) {
    nghttp2_session_callbacks_new(&s->callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(s->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(s->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(s->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(s->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(s->callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(s->callbacks, on_sent);
    nghttp2_option_new(&s->option);
    nghttp2_option_set_no_closed_streams(s->option, 1);
    nghttp2_option_set_stream_reset_rate_limit(s->option, RESETS_AT_ONCE, RESETS_PER_SECOND);
}

struct h2_server *h2_server_new(uv_loop_t *loop, const struct h2_limits *limits,
                                const struct h2_handler *handler) {
    struct h2_server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->limits = *limits;
    s->handler = *handler;
    set_up(s);
    uv_prepare_init(loop, &s->prepare);
    s->prepare.data = s;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_timer_init(loop, &s->sweep);
    s->sweep.data = s;
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return s;
}

unsigned h2_server_connections(const struct h2_server *s) {
    return s->count;
}

unsigned h2_server_streams(const struct h2_server *s) {
    return s->streams;
}

void h2_server_stop(struct h2_server *s) {
    struct h2_connection *c;
    s->stopping = true;
    DL_FOREACH(s->connections, c) {
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
                              NULL, 0);
        mark_dirty(c);
    }
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void h2_server_free(struct h2_server *s) {
    if (s == NULL)
        return;
    on_prepare(&s->prepare); /* the last answers */
    while (s->connections != NULL)
        close_connection(s->connections);
    nghttp2_session_callbacks_del(s->callbacks);
    nghttp2_option_del(s->option);
    uv_close((uv_handle_t *)&s->prepare, NULL);
    uv_close((uv_handle_t *)&s->sweep, on_closed); /* closed last, as they close in order */
}

/* ---- what handlers call ---- */

void h2_stream_set_data(struct h2_stream *s, void *data) {
    s->data = data;
}

void *h2_stream_data(const struct h2_stream *s) {
    return s->data;
}

void h2_connection_set_data(struct h2_connection *c, void *data) {
    c->data = data;
}

void *h2_connection_data(const struct h2_connection *c) {
    return c->data;
}

struct h2_connection *h2_stream_connection(const struct h2_stream *s) {
    return s->connection;
}

void h2_stream_set_deadline(struct h2_stream *s, int64_t after_ms) {
    uint64_t at = uv_now(s->connection->server->loop) + (uint64_t)after_ms;
    if (at < s->deadline_ms)
        s->deadline_ms = at;
}

static size_t to_nv(nghttp2_nv *nv, const struct h2_header *list, size_t count) {
    count = count < HEADERS_MAX ? count : HEADERS_MAX;
    for (size_t i = 0; i < count; i++)
        nv[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)list[i].name,
            .value = (uint8_t *)(uintptr_t)list[i].value,
            .namelen = strlen(list[i].name),
            .valuelen = strlen(list[i].value),
            .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME,
        };
    return count;
}

void h2_stream_headers(struct h2_stream *s, const struct h2_header *list, size_t count, bool end) {
    nghttp2_nv nv[HEADERS_MAX];
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};
    s->answered = true;
    nghttp2_submit_response(s->connection->session, s->id, nv, to_nv(nv, list, count),
                            end ? NULL : &body);
    mark_dirty(s->connection);
}

void h2_stream_trailers(struct h2_stream *s, const struct h2_header *list, size_t count) {
    nghttp2_nv nv[HEADERS_MAX];
    nghttp2_submit_trailer(s->connection->session, s->id, nv, to_nv(nv, list, count));
}

void h2_stream_resume(struct h2_stream *s) {
    nghttp2_session_resume_data(s->connection->session, s->id);
    mark_dirty(s->connection);
}

void h2_stream_refuse_rest(struct h2_stream *s) {
    s->refuse_rest = true;
}
