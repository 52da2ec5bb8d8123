/*
 * A body without end, written to the socket while libmicrohttpd holds the connection suspended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/http_internal.h"

void http_stream_free(struct http_stream *s) {
    /* The memory belongs to the response, which libmicrohttpd destroys. */
    s->request = NULL;
    buffer_free(&s->pending);
}

/* What the socket takes now; -1 when the client is gone (the watch will say so too). */
static ssize_t write_some(struct http_stream *s, struct iovec *parts, size_t count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;
    do {
        sent = sendmsg(http_request_socket(s->request), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    return sent;
}

static void finish(struct http_stream *s) {
    http_request_resume(s->request);
}

void http_stream_flush(struct http_stream *s) {
    bool was_full = s->pending.length > 0;
    if (was_full) {
        struct iovec part = {s->pending.data, s->pending.length};
        ssize_t sent = write_some(s, &part, 1);
        if (sent < 0)
            return;
        buffer_consume(&s->pending, (size_t)sent);
        http_request_watch(s->request, s->pending.length > 0 ? UV_WRITABLE : 0);
        if (s->pending.length > 0)
            return;
        buffer_free(&s->pending); /* an idle subscriber costs no buffer */
    }
    if (s->ended)
        finish(s);
    else if (was_full && s->on_writable != NULL)
        s->on_writable(s->context);
}

bool http_stream_send(struct http_stream *s, const void *bytes, size_t length) {
    char head[24];
    struct iovec parts[3];
    size_t count = 0, total = length;
    if (length == 0 || s->ended)
        return s->pending.length == 0;
    if (s->chunked) {
        int n = snprintf(head, sizeof head, "%zx\r\n", length);
        parts[count++] = (struct iovec){head, (size_t)n};
        total += (size_t)n + 2;
    }
    parts[count++] = (struct iovec){(void *)(uintptr_t)bytes, length};
    if (s->chunked)
        parts[count++] = (struct iovec){(void *)(uintptr_t) "\r\n", 2};
    size_t sent = 0;
    if (s->live && s->pending.length == 0) {
        ssize_t n = write_some(s, parts, count);
        if (n < 0)
            return false;
        sent = (size_t)n;
        if (sent == total)
            return true;
    }
    for (size_t i = 0; i < count; i++) {
        size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        buffer_add(&s->pending, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
        sent -= skip;
    }
    if (s->live)
        http_request_watch(s->request, UV_WRITABLE);
    return false;
}

void http_stream_end(struct http_stream *s) {
    if (s->ended)
        return;
    s->ended = true;
    if (s->live && s->pending.length == 0)
        finish(s);
}
