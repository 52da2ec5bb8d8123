/*
 * Calls over HTTP/1.1: gRPC-web, as browsers speak it: base64 both ways (grpc-web-text), and the
 * binary form for those that prefer it.
 */
#include <stdlib.h>

#include "rpc/rpc_internal.h"

/* A browser keeps the whole answer of a stream in memory, so a long one is ended now and then,
 * right behind an item: the client then goes on from that item's number. */
#define STREAM_BYTES (16u * 1024 * 1024)

static const char text_type[] = "application/grpc-web-text";
static const char binary_type[] = "application/grpc-web";

struct web_call {
    struct call *call;
    struct http_request *request;
    struct http_stream *stream; /* NULL: the answer is collected */
    bool is_text;               /* base64 */
    bool full;                  /* the client does not keep up: wait for on_writable */
    bool released;              /* the body was ended */
    size_t sent;
};

bool rpc_web_is(const char *path) {
    const char *method = strchr(path + 1, '/');
    const char *dot = strchr(path, '.');
    return method != NULL && method[1] != '\0' && strchr(method + 1, '/') == NULL && dot != NULL &&
           dot > path + 1 && dot + 1 < method;
}

static bool has_type(const char *header, const char *type) {
    size_t length = strlen(type);
    return header != NULL && strncasecmp(header, type, length) == 0 &&
           (header[length] == '\0' || header[length] == '+' || header[length] == ';');
}

static const char *answer_type(const struct web_call *w) {
    return w->is_text ? "application/grpc-web-text+proto" : "application/grpc-web+proto";
}

/* ---- the answer ---- */

static void add(const struct web_call *w, struct buffer *out, const void *bytes, size_t length) {
    if (w->is_text)
        buffer_add_base64(out, bytes, length);
    else
        buffer_add(out, bytes, length);
}

/* The status comes as a last frame, with a flag of its own. */
static void add_trailer(const struct web_call *w, struct buffer *out) {
    const struct call *c = w->call;
    struct buffer text = {0}, frame = {0};
    buffer_add_format(&text, "grpc-status:%d\r\n", c->status);
    if (c->status_message != NULL) {
        buffer_add_string(&text, "grpc-message:");
        rpc_status_encode(&text, c->status_message);
        buffer_add_string(&text, "\r\n");
    }
    if (c->status_detail != NULL)
        buffer_add_format(&text, "err:%s\r\n", c->status_detail);
    const char prefix[GRPC_PREFIX_BYTES] = {(char)0x80, 0, 0, (char)(text.length >> 8),
                                            (char)text.length};
    buffer_add(&frame, prefix, sizeof prefix);
    buffer_add(&frame, text.data, text.length);
    add(w, out, frame.data, frame.length);
    buffer_free(&text);
    buffer_free(&frame);
}

static void end_body(struct web_call *w) {
    w->released = true;
    http_stream_end(w->stream);
}

static void send_more(struct web_call *w) {
    const struct grpc_frame *frame;
    struct buffer out = {0};
    while (!w->full && !w->released && (frame = call_pull(w->call)) != NULL) {
        bool is_item = frame != w->call->rpc->watches.heartbeat;
        buffer_clear(&out);
        add(w, &out, frame->bytes, frame->length);
        call_taken(w->call, frame->length);
        w->sent += out.length;
        w->full = !http_stream_send(w->stream, out.data, out.length);
        if (w->sent > STREAM_BYTES && is_item)
            end_body(w);
    }
    if (!w->released && call_is_over(w->call)) {
        buffer_clear(&out);
        add_trailer(w, &out);
        http_stream_send(w->stream, out.data, out.length);
        end_body(w);
    }
    buffer_free(&out);
}

static void on_writable(void *context) {
    struct web_call *w = context;
    w->full = false;
    send_more(w);
}

static void start(struct call *c) {
    struct web_call *w = c->stream;
    c->started = true;
    c->rpc->web_waiting++;
    w->stream = http_request_stream(w->request, 200, answer_type(w), on_writable, w);
}

static void wake(struct call *c) {
    struct web_call *w = c->stream;
    if (w->stream != NULL) {
        send_more(w);
        return;
    }
    if (!c->ended)
        return;
    struct buffer out = {0};
    const struct grpc_frame *frame = call_pull(c);
    if (frame != NULL) {
        add(w, &out, frame->bytes, frame->length);
        call_taken(c, frame->length);
    }
    add_trailer(w, &out);
    http_request_reply(w->request, 200, answer_type(w), out.data, out.length);
    buffer_free(&out);
}

/* Whatever status a browser's subscription gets, it takes for the last; a body that just ends it
 * takes for a connection that broke, and comes again. */
static void hang_up(struct call *c) {
    struct web_call *w = c->stream;
    if (w->stream == NULL)
        start(c);
    if (!w->released)
        end_body(w);
}

static const struct call_transport transport = {start, wake, hang_up};

/* ---- the request ---- */

static void on_gone(struct http_request *r, void *data) {
    struct web_call *w = data;
    (void)r;
    if (w->stream != NULL)
        w->call->rpc->web_waiting--;
    call_free(w->call, false);
    free(w);
}

static bool check_headers(struct call *c, const struct http_request *request, struct error *e) {
    const char *timeout = http_request_header(request, "grpc-timeout");
    const char *encoding = http_request_header(request, "grpc-encoding");
    c->has_timeout = timeout != NULL;
    if (encoding != NULL && strcmp(encoding, "identity") != 0)
        return error_set(e, ERROR_UNIMPLEMENTED, "messages cannot be compressed here");
    if (timeout != NULL && rpc_parse_timeout(timeout) < 0)
        return error_set(e, ERROR_INVALID, "the header grpc-timeout cannot be read");
    return (timeout == NULL || rpc_parse_timeout(timeout) > 0) ||
           error_set(e, ERROR_DEADLINE, "the call's time was over at its start");
}

size_t rpc_web_headers(struct rpc *r, struct http_request *request) {
    const char *type = http_request_header(request, "Content-Type");
    struct error e;
    if (!has_type(type, text_type) && !has_type(type, binary_type)) {
        static const char body[] =
            "{\"code\":\"unsupported_media_type\",\"message\":\"over HTTP/1.1 the services are "
            "called as application/grpc-web-text; gRPC itself needs HTTP/2\"}\n";
        http_request_reply(request, 415, "application/json", body, sizeof body - 1);
        return 0;
    }
    struct web_call *w = xcalloc(1, sizeof *w);
    w->call = call_new(r, &transport, w);
    w->request = request;
    w->is_text = has_type(type, text_type);
    http_request_set_data(request, w, on_gone);
    const char *credential = http_request_header(request, "Authorization");
    const char *host = http_request_header(request, "Host");
    if (!check_headers(w->call, request, &e) ||
        !call_begin(w->call, http_request_path(request), credential, NULL, &e))
        call_fail(w->call, &e);
    if (host != NULL)
        w->call->host = xstrdup(host);
    size_t most = call_body_limit(w->call);
    return w->is_text ? most / 3 * 4 + 8 : most;
}

/* The body as the client's frames: from base64, which may come in padded pieces. */
static bool decode(const struct web_call *w, const char *body, size_t length, struct error *e) {
    struct buffer *out = &w->call->body;
    if (!w->is_text) {
        buffer_add(out, body, length);
        return true;
    }
    for (size_t at = 0; at < length;) {
        size_t piece = strcspn(body + at, "=");
        piece += strspn(body + at + piece, "=");
        char *text = xstrndup(body + at, piece);
        bool good = piece > 0 && buffer_add_from_base64(out, text, piece);
        free(text);
        if (!good)
            return error_set(e, ERROR_INVALID, "the body is not base64");
        at += piece;
    }
    return true;
}

void rpc_web_request(struct rpc *r, struct http_request *request) {
    struct web_call *w = http_request_data(request);
    struct error e;
    size_t length;
    (void)r;
    const char *body = http_request_body(request, &length);
    if (decode(w, body, length, &e))
        call_run(w->call);
    else
        call_fail(w->call, &e);
}
