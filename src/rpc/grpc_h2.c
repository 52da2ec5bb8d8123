/*
 * Calls over HTTP/2: gRPC itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "rpc/rpc_internal.h"

static const char content_type[] = "application/grpc";

/* What a connection remembers between its streams. */
struct connection {
    char *credential; /* of the last call, whose identity is ... */
    struct identity *identity;
    size_t buffered; /* bytes of requests that are not whole yet */
    struct heal_list *cancelled;
};

static struct connection *connection_of(struct h2_stream *s) {
    struct h2_connection *c = h2_stream_connection(s);
    struct connection *mine = h2_connection_data(c);
    if (mine == NULL) {
        mine = xcalloc(1, sizeof *mine);
        h2_connection_set_data(c, mine);
    }
    return mine;
}

static void drop_credential(struct connection *c) {
    identity_unref(c->identity);
    if (c->credential != NULL)
        OPENSSL_cleanse(c->credential, strlen(c->credential));
    free(c->credential);
    c->identity = NULL;
    c->credential = NULL;
}

static void on_connection_closed(struct h2_connection *connection, void *context) {
    (void)context;
    struct connection *c = h2_connection_data(connection);
    if (c == NULL)
        return;
    drop_credential(c);
    heal_list_free(c->cancelled);
    free(c);
}

/* ---- the transport ---- */

#define STATUS_HEADERS 3

/* grpc-status, grpc-message and err; `text` holds what they point at. */
static size_t status_headers(const struct call *c, struct h2_header *list, char number[4],
                             struct buffer *text) {
    size_t count = 0;
    snprintf(number, 4, "%d", c->status);
    list[count++] = (struct h2_header){"grpc-status", number};
    if (c->status_message != NULL) {
        rpc_status_encode(text, c->status_message);
        list[count++] = (struct h2_header){"grpc-message", buffer_string(text)};
    }
    if (c->status_detail != NULL)
        list[count++] = (struct h2_header){"err", c->status_detail};
    return count;
}

static void start(struct call *c) {
    static const struct h2_header headers[] = {{":status", "200"}, {"content-type", content_type}};
    c->started = true;
    h2_stream_headers(c->stream, headers, COUNT_OF(headers), false);
}

/* One HEADERS frame that ends the stream: some clients take anything else for a success. */
static void send_trailers_only(struct call *c) {
    struct h2_header list[2 + STATUS_HEADERS] = {{":status", "200"},
                                                 {"content-type", content_type}};
    struct buffer text = {0};
    char number[4];
    size_t count = 2 + status_headers(c, list + 2, number, &text);
    c->started = true;
    h2_stream_headers(c->stream, list, count, true);
    h2_stream_refuse_rest(c->stream);
    buffer_free(&text);
}

static void wake(struct call *c) {
    if (c->started)
        h2_stream_resume(c->stream);
    else if (c->frame != NULL)
        start(c);
    else
        send_trailers_only(c);
}

static void hang_up(struct call *c) {
    call_end(c, RPC_UNAVAILABLE, "the gateway is stopping; subscribe again", NULL);
}

static const struct call_transport transport = {start, wake, hang_up};

static size_t on_pull(struct h2_stream *s, void *bytes, size_t room, bool *end, void *context) {
    (void)context;
    struct call *c = h2_stream_data(s);
    const struct grpc_frame *frame;
    size_t total = 0;
    while (total < room && (frame = call_pull(c)) != NULL) {
        size_t n = frame->length - c->offset;
        n = n < room - total ? n : room - total;
        memcpy((char *)bytes + total, frame->bytes + c->offset, n);
        total += n;
        call_taken(c, n);
    }
    if (call_is_over(c)) {
        struct h2_header list[STATUS_HEADERS];
        struct buffer text = {0};
        char number[4];
        h2_stream_trailers(s, list, status_headers(c, list, number, &text));
        buffer_free(&text);
        *end = true;
    }
    return total;
}

/* ---- requests ---- */

/* What is not gRPC is answered as HTTP. */
static void refuse_http(struct h2_stream *s, const char *status) {
    const struct h2_header list[] = {{":status", status}, {"allow", "POST"}};
    h2_stream_headers(s, list, COUNT_OF(list), true);
    h2_stream_refuse_rest(s);
}

static bool is_grpc(const char *type) {
    size_t length = sizeof content_type - 1;
    return type != NULL && strncmp(type, content_type, length) == 0 &&
           (type[length] == '\0' || type[length] == '+' || type[length] == ';');
}

/* The identity found for the connection's last call, if this one has the same credential. */
static struct identity *known_identity(const struct connection *c, const char *credential) {
    return c->credential != NULL && strlen(credential) == strlen(c->credential) &&
                   CRYPTO_memcmp(credential, c->credential, strlen(credential)) == 0
               ? c->identity
               : NULL;
}

static bool check_headers(struct call *c, const struct h2_request *r, int64_t *timeout,
                          struct error *e) {
    if (r->too_large)
        return error_set(e, ERROR_LIMIT, "the headers are larger than allowed");
    if (r->grpc_encoding != NULL && strcmp(r->grpc_encoding, "identity") != 0)
        return error_set(e, ERROR_UNIMPLEMENTED, "messages cannot be compressed here");
    *timeout = r->grpc_timeout != NULL ? rpc_parse_timeout(r->grpc_timeout) : INT64_MAX;
    c->has_timeout = r->grpc_timeout != NULL;
    if (*timeout < 0)
        return error_set(e, ERROR_INVALID, "the header grpc-timeout cannot be read");
    return *timeout > 0 || error_set(e, ERROR_DEADLINE, "the call's time was over at its start");
}

static bool begin(struct call *c, struct connection *connection, const struct h2_request *r,
                  struct error *e) {
    const char *credential = r->authorization != NULL ? r->authorization : "";
    struct identity *known = known_identity(connection, credential);
    if (!call_begin(c, r->path, credential, known, e))
        return false;
    if (known == NULL && c->identity != NULL) {
        drop_credential(connection);
        connection->credential = xstrdup(credential);
        connection->identity = identity_ref(c->identity);
    }
    if (c->method->access == METHOD_ANYONE && r->authority != NULL)
        c->host = xstrdup(r->authority);
    return true;
}

static void on_request(struct h2_stream *s, const struct h2_request *r, void *context) {
    struct rpc *rpc = context;
    struct error e;
    int64_t timeout = 0;
    if (r->method == NULL || strcmp(r->method, "POST") != 0 || r->path == NULL) {
        refuse_http(s, r->too_large ? "431" : "405");
        return;
    }
    if (!is_grpc(r->content_type) && !r->too_large) {
        refuse_http(s, "415");
        return;
    }
    struct connection *connection = connection_of(s);
    struct call *c = call_new(rpc, &transport, s);
    c->cancelled = &connection->cancelled;
    h2_stream_set_data(s, c);
    if (!check_headers(c, r, &timeout, &e) || !begin(c, connection, r, &e))
        call_fail(c, &e);
    else if (c->has_timeout)
        h2_stream_set_deadline(s, timeout);
}

static void on_data(struct h2_stream *s, const void *bytes, size_t length, void *context) {
    struct call *c = h2_stream_data(s);
    const struct rpc *rpc = context;
    if (c == NULL || c->ended)
        return;
    struct connection *connection = connection_of(s);
    size_t most = call_body_limit(c);
    /* A few large messages at once are a client's business; many half-sent ones are not. */
    size_t together = 4 * (rpc->shared->config->limits.message_bytes + most);
    struct error e;
    if (c->body.length + length > most) {
        error_set(
            &e, ERROR_TOO_LARGE,
            "request limit exceeded: the message has more than the %zu bytes that are allowed",
            most);
        call_fail(c, &e);
    } else if (connection->buffered + length > together) {
        error_set(&e, ERROR_LIMIT, "too many large messages at once on one connection");
        call_fail(c, &e);
    } else {
        buffer_add(&c->body, bytes, length);
        connection->buffered += length;
        return;
    }
    connection->buffered -= c->body.length;
    buffer_free(&c->body);
}

static void on_end(struct h2_stream *s, void *context) {
    (void)context;
    struct call *c = h2_stream_data(s);
    if (c == NULL || c->ended)
        return;
    connection_of(s)->buffered -= c->body.length;
    call_run(c);
}

static void on_late(struct h2_stream *s, void *context) {
    (void)context;
    struct call *c = h2_stream_data(s);
    static const struct error late = {ERROR_DEADLINE, "the request took too long to arrive"};
    if (c != NULL)
        call_fail(c, &late);
}

static void on_closed(struct h2_stream *s, bool cancelled, void *context) {
    (void)context;
    struct call *c = h2_stream_data(s);
    if (c == NULL)
        return;
    connection_of(s)->buffered -= c->body.length;
    call_free(c, cancelled);
}

struct h2_handler rpc_h2_handler(struct rpc *r) {
    return (struct h2_handler){
        .on_request = on_request,
        .on_data = on_data,
        .on_end = on_end,
        .on_late = on_late,
        .on_pull = on_pull,
        .on_closed = on_closed,
        .on_connection_closed = on_connection_closed,
        .context = r,
    };
}
