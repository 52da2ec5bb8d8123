#include "net/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <utlist.h>
#include <wslay/wslay.h>

/* A socket that has so much to send is not given more, and not read from. */
#define QUEUE_BYTES (256 * 1024)
/* Read from one socket in a turn of the loop, so that the others have theirs. */
#define READ_BYTES (64 * 1024)
#define TICK_MS    250
/* For the peer's part of the closing handshake. */
#define CLOSE_MS 2000
/* What a close frame has room for, beside the code. */
#define REASON_BYTES 123

struct websocket_server {
    uv_loop_t *loop;
    struct websocket_limits limits;
    struct websocket_handler handler;
    struct websocket *list;
    unsigned count;
    struct websocket *due; /* have something to do before the loop sleeps */
    uv_prepare_t prepare;
    uv_timer_t tick;
};

struct websocket {
    struct websocket *next, *prev;
    struct websocket *due_next, *due_prev;
    bool due;
    bool wanted; /* on_writable is to be called once there is room */
    struct websocket_server *server;
    struct http_request *request;
    void *data;
    wslay_event_context_ptr frames;
    uv_poll_t *poll; /* NULL: the request is not answered yet, or the socket given back */
    int fd;
    int events;
    size_t budget;       /* of bytes to read in this turn */
    struct buffer early; /* came together with the request, and is read first */
    size_t early_read;
    struct buffer message; /* as far as it has come */
    size_t message_limit;
    uint64_t message_ms; /* when it began; 0: none has */
    bool in_control;     /* the frame that arrives is none of the message's */
    struct buffer out;
    size_t out_sent;
    bool blocked;        /* the socket took no more of it */
    uint64_t alive_ms;   /* the last sign of life of the peer's */
    uint64_t pinged_ms;  /* the last ping */
    uint64_t closing_ms; /* when closing began; 0: it has not */
    bool told;           /* on_closed was called */
    bool lost;           /* the socket is of no use any more */
    bool half_closed;    /* our side of the socket */
};

static uint64_t now_ms(const struct websocket *w) {
    return uv_now(w->server->loop);
}

static size_t queued(const struct websocket *w) {
    return w->out.length - w->out_sent;
}

static bool is_full(const struct websocket *w) {
    return queued(w) >= QUEUE_BYTES;
}

static void on_prepare(uv_prepare_t *prepare);

/* It is served before the loop sleeps. */
static void schedule(struct websocket *w) {
    struct websocket_server *s = w->server;
    if (w->due)
        return;
    w->due = true;
    DL_APPEND2(s->due, w, due_prev, due_next);
    uv_prepare_start(&s->prepare, on_prepare);
}

static void unschedule(struct websocket *w) {
    if (w->due)
        DL_DELETE2(w->server->due, w, due_prev, due_next);
    w->due = false;
}

/* ---- the end ---- */

static void tell(struct websocket *w) {
    if (w->told)
        return;
    w->told = true;
    w->server->handler.on_closed(w);
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

/* Gives the socket back to the HTTP server, which closes it and ends the request. */
static void drop(struct websocket *w) {
    tell(w);
    unschedule(w);
    if (w->poll == NULL)
        return;
    uv_poll_stop(w->poll);
    uv_close((uv_handle_t *)w->poll, on_poll_closed);
    w->poll = NULL;
    http_request_end_upgrade(w->request);
}

static void on_gone(struct http_request *r, void *data) {
    (void)r;
    struct websocket *w = data;
    struct websocket_server *s = w->server;
    drop(w);
    DL_DELETE(s->list, w);
    s->count--;
    wslay_event_context_free(w->frames);
    buffer_free(&w->early);
    buffer_free(&w->message);
    buffer_free(&w->out);
    free(w);
}

static void begin_closing(struct websocket *w) {
    if (w->closing_ms != 0)
        return;
    w->closing_ms = now_ms(w);
    buffer_free(&w->message);
    schedule(w);
}

/* ---- sending ---- */

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *bytes, size_t length,
                       int flags, void *context) {
    (void)frames, (void)flags;
    struct websocket *w = context;
    buffer_add(&w->out, bytes, length);
    return (ssize_t)length;
}

/* Turns what wslay holds into bytes. */
static void encode(struct websocket *w) {
    wslay_event_send(w->frames);
    if (!wslay_event_get_write_enabled(w->frames))
        begin_closing(w); /* its last frame was a close */
    if (queued(w) > 0)
        schedule(w);
}

static void queue_frame(struct websocket *w, uint8_t opcode, const char *bytes, size_t length) {
    struct wslay_event_msg message = {opcode, (const uint8_t *)bytes, length};
    if (wslay_event_queue_msg(w->frames, &message) != 0)
        w->lost = true; /* better no connection than one with a gap */
    encode(w);
}

void websocket_send(struct websocket *w, const char *text, size_t length) {
    if (w->closing_ms == 0)
        queue_frame(w, WSLAY_TEXT_FRAME, text, length);
}

bool websocket_has_room(const struct websocket *w) {
    return w->closing_ms == 0 && !is_full(w);
}

void websocket_wake(struct websocket *w) {
    w->wanted = true;
    schedule(w);
}

void websocket_close(struct websocket *w, unsigned code, const char *reason) {
    size_t length = strlen(reason);
    if (w->closing_ms != 0)
        return;
    if (length > REASON_BYTES) {
        length = REASON_BYTES;
        while (length > 0 && (reason[length] & 0xc0) == 0x80) /* not within a character */
            length--;
    }
    if (wslay_event_queue_close(w->frames, (uint16_t)code, (const uint8_t *)reason, length) != 0)
        w->lost = true;
    encode(w);
}

static void flush(struct websocket *w) {
    while (queued(w) > 0 && !w->lost) {
        ssize_t n = send(w->fd, w->out.data + w->out_sent, queued(w), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            w->lost = errno != EAGAIN && errno != EWOULDBLOCK;
            w->blocked = true;
            break;
        }
        if (w->blocked) /* the peer has read what was before */
            w->alive_ms = now_ms(w);
        w->blocked = false;
        w->out_sent += (size_t)n;
    }
    if (queued(w) == 0)
        buffer_free(&w->out); /* an idle connection costs no buffer */
    else if (w->out_sent > w->out.length / 2)
        buffer_consume(&w->out, w->out_sent);
    else
        return;
    w->out_sent = 0;
}

/* ---- receiving ---- */

static ssize_t on_receive(wslay_event_context_ptr frames, uint8_t *to, size_t room, int flags,
                          void *context) {
    (void)flags;
    struct websocket *w = context;
    size_t early = w->early.length - w->early_read;
    if (early > 0) {
        size_t n = early < room ? early : room;
        memcpy(to, w->early.data + w->early_read, n);
        w->early_read += n;
        return (ssize_t)n;
    }
    ssize_t n = -1;
    errno = EAGAIN;
    if (w->budget > 0)
        n = recv(w->fd, to, room < w->budget ? room : w->budget, MSG_DONTWAIT);
    if (n > 0) {
        w->budget -= (size_t)n;
        w->alive_ms = now_ms(w);
        return n;
    }
    bool later = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    w->lost = w->lost || !later;
    wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_frame(wslay_event_context_ptr frames,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *context) {
    (void)frames;
    struct websocket *w = context;
    w->in_control = wslay_is_ctrl_frame(frame->opcode);
    if (w->in_control || w->closing_ms != 0)
        return;
    if (w->message_ms == 0)
        w->message_ms = now_ms(w);
    if (frame->opcode == WSLAY_BINARY_FRAME) {
        websocket_close(w, WEBSOCKET_UNSUPPORTED, "only text messages are taken");
    } else if (frame->payload_length > w->message_limit - w->message.length) {
        char reason[REASON_BYTES];
        snprintf(reason, sizeof reason, "a message may have at most %zu bytes", w->message_limit);
        websocket_close(w, WEBSOCKET_TOO_LARGE, reason);
        wslay_event_shutdown_read(w->frames); /* the rest is thrown away */
    }
}

static void on_chunk(wslay_event_context_ptr frames,
                     const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *context) {
    (void)frames;
    struct websocket *w = context;
    if (!w->in_control && w->closing_ms == 0)
        buffer_add(&w->message, chunk->data, chunk->data_length);
}

static void on_message(wslay_event_context_ptr frames,
                       const struct wslay_event_on_msg_recv_arg *message, void *context) {
    (void)frames;
    struct websocket *w = context;
    if (wslay_is_ctrl_frame(message->opcode) || w->closing_ms != 0)
        return;
    struct buffer whole = w->message;
    w->message = (struct buffer){0};
    w->message_ms = 0;
    w->server->handler.on_message(w, buffer_string(&whole), whole.length);
    buffer_free(&whole);
}

/* After the peer broke the protocol: without reading on, closing would reset the connection, and
 * the peer might never see why. */
static void discard(struct websocket *w) {
    char bytes[4096];
    ssize_t n;
    while (w->budget > 0 && (n = recv(w->fd, bytes, sizeof bytes, MSG_DONTWAIT)) != 0) {
        if (n < 0) {
            w->lost = w->lost || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
            return;
        }
        w->budget -= (size_t)n < w->budget ? (size_t)n : w->budget;
    }
    w->lost = w->lost || w->budget > 0;
}

static void receive(struct websocket *w) {
    /* wslay closes without a code when a frame cannot be one. */
    static const char protocol_error[] = "\x88\x02\x03\xea";
    w->budget = READ_BYTES;
    if (!wslay_event_get_read_enabled(w->frames)) {
        discard(w);
    } else if (wslay_event_recv(w->frames) != 0 && !w->lost) {
        if (w->closing_ms == 0)
            buffer_add(&w->out, protocol_error, sizeof protocol_error - 1);
        wslay_event_shutdown_write(w->frames);
    }
    encode(w);
}

/* ---- the turn ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct websocket *w) {
    int events = UV_DISCONNECT;
    if (!is_full(w) || w->closing_ms != 0)
        events |= UV_READABLE;
    if (queued(w) > 0 || w->wanted)
        events |= UV_WRITABLE;
    if (events != w->events)
        uv_poll_start(w->poll, events, on_poll);
    w->events = events;
}

/* True when nothing is left to be done for the closing handshake. */
static bool is_closed(struct websocket *w) {
    if (w->lost)
        return true;
    if (w->closing_ms == 0 || queued(w) > 0)
        return false;
    if (wslay_event_get_close_received(w->frames))
        return true;
    if (!w->half_closed && !wslay_event_get_read_enabled(w->frames)) {
        w->half_closed = true;
        shutdown(w->fd, SHUT_WR);
    }
    return false;
}

static void serve(struct websocket *w) {
    if (w->wanted && w->poll != NULL && websocket_has_room(w)) {
        w->wanted = false;
        w->server->handler.on_writable(w);
    }
    if (w->closing_ms != 0) {
        w->wanted = false;
        tell(w);
    }
    if (w->poll == NULL)
        return;
    flush(w);
    if (is_closed(w))
        drop(w);
    else
        watch(w);
}

static void on_prepare(uv_prepare_t *prepare) {
    struct websocket_server *s = prepare->data;
    while (s->due != NULL) {
        struct websocket *w = s->due;
        serve(w);
        unschedule(w);
    }
    uv_prepare_stop(prepare);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct websocket *w = poll->data;
    if (status != 0)
        w->lost = true;
    else if ((events & UV_READABLE) != 0)
        receive(w);
    else if ((events & UV_DISCONNECT) != 0)
        w->lost = true;
    schedule(w);
}

static void tend(struct websocket *w, uint64_t now) {
    const struct websocket_limits *l = &w->server->limits;
    uint64_t silent = now - w->alive_ms, every = (uint64_t)l->ping_ms;
    if (w->poll == NULL)
        return;
    if (is_full(w))
        w->message_ms = w->message_ms != 0 ? now : 0; /* it is we who do not read on */
    if (w->closing_ms != 0) {
        w->lost = w->lost || now - w->closing_ms >= CLOSE_MS;
        schedule(w);
    } else if (silent >= 2 * every) {
        w->lost = true;
        schedule(w);
    } else if (w->message_ms != 0 && now - w->message_ms >= (uint64_t)l->message_time_ms) {
        websocket_close(w, WEBSOCKET_POLICY, "the message took too long to arrive");
    } else if (silent >= every && now - w->pinged_ms >= every && queued(w) == 0) {
        w->pinged_ms = now;
        queue_frame(w, WSLAY_PING, NULL, 0);
    }
}

static void on_tick(uv_timer_t *timer) {
    struct websocket_server *s = timer->data;
    struct websocket *w;
    DL_FOREACH(s->list, w)
    tend(w, uv_now(s->loop));
}

/* ---- the beginning ---- */

static void on_upgraded(struct http_request *r, int fd, const void *early, size_t length) {
    struct websocket *w = http_request_data(r);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    w->fd = fd;
    w->poll = xcalloc(1, sizeof *w->poll);
    uv_poll_init(w->server->loop, w->poll, fd);
    w->poll->data = w;
    w->alive_ms = now_ms(w);
    if (length > 0) {
        buffer_add(&w->early, early, length);
        receive(w);
    }
    schedule(w);
}

struct websocket *websocket_accept(struct websocket_server *s, struct http_request *r,
                                   size_t message_bytes, void *data) {
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_receive,
        .send_callback = on_send,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
        .on_msg_recv_callback = on_message,
    };
    char accept[WEBSOCKET_ACCEPT_SIZE] = "";
    struct websocket *w = xcalloc(1, sizeof *w);
    w->server = s;
    w->request = r;
    w->data = data;
    w->message_limit = message_bytes;
    if (wslay_event_context_server_init(&w->frames, &callbacks, w) != 0)
        abort();
    wslay_event_config_set_no_buffering(w->frames, 1); /* many small fragments would cost much */
    DL_APPEND(s->list, w);
    s->count++;
    http_request_set_data(r, w, on_gone);
    websocket_accept_key(http_request_header(r, "Sec-WebSocket-Key"), accept);
    http_request_set_header(r, "Sec-WebSocket-Accept", accept);
    http_request_upgrade(r, "websocket", on_upgraded);
    return w;
}

void *websocket_data(const struct websocket *w) {
    return w->data;
}

void websocket_limit(struct websocket *w, size_t message_bytes) {
    w->message_limit = message_bytes;
}

struct websocket_server *websocket_server_new(uv_loop_t *loop,
                                              const struct websocket_limits *limits,
                                              const struct websocket_handler *handler) {
    struct websocket_server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->limits = *limits;
    s->handler = *handler;
    uv_prepare_init(loop, &s->prepare);
    s->prepare.data = s;
    uv_timer_init(loop, &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    return s;
}

unsigned websocket_server_count(const struct websocket_server *s) {
    return s->count;
}

void websocket_server_close(struct websocket_server *s, unsigned code, const char *reason) {
    struct websocket *w;
    DL_FOREACH(s->list, w)
    websocket_close(w, code, reason);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void websocket_server_free(struct websocket_server *s) {
    if (s == NULL)
        return;
    uv_close((uv_handle_t *)&s->prepare, NULL);
    uv_close((uv_handle_t *)&s->tick, on_closed); /* closed last, as they close in order */
}
