/*
 * latency: 100 subscriptions on 10 connections and one publisher, against hookmoon (gRPC) or NATS.
 *
 *   latency (hookmoon | nats) PORT rate PER_SECOND SECONDS   latency from publish to item
 *   latency (hookmoon | nats) PORT window MESSAGES SECONDS   items a second, so many messages at
 * once
 *
 * Prints one line: RESULT {"messages":..,"delivered":..,"lost":..,"gaps":..,"disordered":..,
 * "rate":..,"p50_us":..,"p99_us":..}; fails unless each subscription got everything once and in
 * order. Both are driven by the same loop; only what is written and how it is taken apart differs.
 * A payload is '#' and the publish time of CLOCK_MONOTONIC in 20 digits, filled up to 64 bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>

#define CONNECTIONS   10
#define SUBSCRIPTIONS 10 /* on each */
#define PAYLOAD       64
#define ALL           (CONNECTIONS * SUBSCRIPTIONS)
#define BUFFER        (1 << 20)

struct subscription {
    uint64_t last_ns; /* when its last item was sent: the next one was sent later */
    bool stands;
    uint8_t bytes[5 + 256]; /* hookmoon: a message, which comes in pieces */
    size_t have;
};

struct connection {
    int fd;
    nghttp2_session *session; /* NULL: NATS */
    char *out;
    size_t out_length, out_room;
    char in[BUFFER]; /* NATS: what is not taken apart yet */
    size_t in_length;
    unsigned ready; /* subscriptions that stand */
    struct subscription subscriptions[SUBSCRIPTIONS];
};

static bool is_nats;
static struct connection *connections[CONNECTIONS + 1]; /* the last one publishes */
static uint64_t published, delivered, gaps, disordered, *samples, sample_count, sample_room;
static bool measuring;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void take(struct subscription *s, uint64_t sent_ns) {
    delivered++;
    disordered += sent_ns <= s->last_ns;
    s->last_ns = sent_ns;
    if (!measuring)
        return;
    if (sample_count == sample_room) {
        sample_room = sample_room == 0 ? 1 << 20 : sample_room * 2;
        samples = realloc(samples, sample_room * sizeof *samples);
    }
    samples[sample_count++] = now_ns() - sent_ns;
}

static void make_payload(char *payload) {
    snprintf(payload, 22, "#%020llu", (unsigned long long)now_ns());
    memset(payload + 21, 'x', PAYLOAD - 21);
}

/* ---- sending ---- */

static void put(struct connection *c, const void *bytes, size_t length) {
    if (c->out_length + length > c->out_room) {
        c->out_room = (c->out_length + length) * 2;
        c->out = realloc(c->out, c->out_room);
    }
    memcpy(c->out + c->out_length, bytes, length);
    c->out_length += length;
}

static void flush(struct connection *c) {
    const uint8_t *bytes;
    ssize_t n;
    while (c->session != NULL && (n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
        put(c, bytes, (size_t)n);
    size_t sent = 0;
    while (sent < c->out_length) {
        n = send(c->fd, c->out + sent, c->out_length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("send");
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    memmove(c->out, c->out + sent, c->out_length - sent);
    c->out_length -= sent;
}

/* ---- hookmoon: gRPC ---- */

struct request {
    uint8_t bytes[128];
    size_t length;
};

static ssize_t read_request(nghttp2_session *s, int32_t id, uint8_t *to, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *data) {
    struct request *r = source->ptr;
    size_t length = r->length;
    (void)s, (void)id, (void)room, (void)data;
    memcpy(to, r->bytes, length);
    free(r);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)length;
}

static void call(struct connection *c, const char *path, const uint8_t *message, size_t length,
                 struct subscription *subscription) {
#define HEADER(n, v)                                                                               \
    { (uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, strlen(v), NGHTTP2_NV_FLAG_NONE }
    const nghttp2_nv headers[] = {HEADER(":method", "POST"),
                                  HEADER(":scheme", "http"),
                                  HEADER(":path", path),
                                  HEADER(":authority", "localhost"),
                                  HEADER("content-type", "application/grpc"),
                                  HEADER("te", "trailers")};
    struct request *r = calloc(1, sizeof *r);
    r->bytes[4] = (uint8_t)length;
    memcpy(r->bytes + 5, message, length);
    r->length = length + 5;
    nghttp2_data_provider body = {.source.ptr = r, .read_callback = read_request};
    nghttp2_submit_request(c->session, NULL, headers, sizeof headers / sizeof headers[0], &body,
                           subscription);
}

static void take_message(struct connection *c, struct subscription *s, size_t length) {
    enum { ITEM = 0x0a, DISCONTINUITY = 0x12 }; /* the key of the message's only field */
    const uint8_t *message = s->bytes + 5, *at;
    char digits[21] = {0};
    if (message[0] == ITEM) {
        /* With the key and length before it: a sequence number may have a '#' of its own. */
        at = memmem(message, length, "\x0a\x40#", 3);
        if (at == NULL || message + length - at < 23) {
            fprintf(stderr, "an item without a payload\n");
            exit(1);
        }
        memcpy(digits, at + 3, 20);
        take(s, strtoull(digits, NULL, 10));
    } else if (message[0] == DISCONTINUITY) {
        gaps++;
    } else if (!s->stands) { /* the first heartbeat */
        s->stands = true;
        c->ready++;
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t length, void *data) {
    struct connection *c = data;
    struct subscription *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    while (s != NULL && length > 0) {
        size_t whole = s->have < 5 ? 5 : 5 + ((size_t)s->bytes[3] << 8 | s->bytes[4]);
        size_t n = whole - s->have < length ? whole - s->have : length;
        if (whole > sizeof s->bytes) {
            fprintf(stderr, "a message is too large\n");
            exit(1);
        }
        memcpy(s->bytes + s->have, bytes, n);
        s->have += n;
        bytes += n;
        length -= n;
        if (s->have > 5 && s->have == 5 + ((size_t)s->bytes[3] << 8 | s->bytes[4])) {
            take_message(c, s, s->have - 5);
            s->have = 0;
        }
    }
    return 0;
}

static void start_session(struct connection *c) {
    nghttp2_session_callbacks *callbacks;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24}};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_client_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 1 << 28);
}

/* ---- NATS: its text protocol ---- */

static void parse_nats(struct connection *c) {
    char *at = c->in, *end = c->in + c->in_length, *line;
    while ((line = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (strncmp(at, "MSG ", 4) == 0) {
            if (end - line - 1 < PAYLOAD + 2)
                break;
            unsigned long number = strtoul(at + 6, NULL, 10); /* after "MSG t " */
            if (number < 1 || number > SUBSCRIPTIONS || line[1] != '#') {
                fprintf(stderr, "a message of an unknown subscription\n");
                exit(1);
            }
            take(&c->subscriptions[number - 1], strtoull(line + 2, NULL, 10));
            at = line + 1 + PAYLOAD + 2;
            continue;
        }
        if (strncmp(at, "PING", 4) == 0)
            put(c, "PONG\r\n", 6);
        if (strncmp(at, "PONG", 4) == 0)
            c->ready = SUBSCRIPTIONS;
        if (strncmp(at, "-ERR", 4) == 0)
            die("NATS");
        at = line + 1;
    }
    memmove(c->in, at, (size_t)(end - at));
    c->in_length = (size_t)(end - at);
}

/* ---- both ---- */

static void subscribe(struct connection *c) {
    static const uint8_t message[] = {0x0a, 1, 'c', 0x12, 1, 't'};
    if (is_nats) {
        char line[64];
        put(c, "CONNECT {\"verbose\":false}\r\n", 27);
        for (int i = 1; i <= SUBSCRIPTIONS; i++)
            put(c, line, (size_t)snprintf(line, sizeof line, "SUB t %d\r\n", i));
        put(c, "PING\r\n", 6);
        return;
    }
    for (int i = 0; i < SUBSCRIPTIONS; i++)
        call(c, "/cache_client.pubsub.Pubsub/Subscribe", message, sizeof message,
             &c->subscriptions[i]);
}

static void publish(struct connection *c) {
    char payload[PAYLOAD + 1];
    make_payload(payload);
    published++;
    if (is_nats) {
        put(c, "PUB t 64\r\n", 10);
        put(c, payload, PAYLOAD);
        put(c, "\r\n", 2);
        return;
    }
    uint8_t message[8 + 2 + PAYLOAD] = {0x0a, 1,    'c',         0x12, 1,
                                        't',  0x1a, PAYLOAD + 2, 0x0a, PAYLOAD};
    memcpy(message + 10, payload, PAYLOAD);
    call(c, "/cache_client.pubsub.Pubsub/Publish", message, sizeof message, NULL);
}

static void receive(struct connection *c) {
    static uint8_t bytes[256 * 1024];
    ssize_t n = is_nats ? recv(c->fd, c->in + c->in_length, BUFFER - c->in_length, 0)
                        : recv(c->fd, bytes, sizeof bytes, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("recv");
    if (n < 0)
        return;
    if (is_nats) {
        c->in_length += (size_t)n;
        parse_nats(c);
    } else if (nghttp2_session_mem_recv(c->session, bytes, (size_t)n) < 0) {
        die("nghttp2");
    }
}

static struct connection *open_connection(int port, int epoll) {
    struct connection *c = calloc(1, sizeof *c);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    if (!is_nats)
        start_session(c);
    return c;
}

static void turn(int epoll, int timeout_ms) {
    struct epoll_event events[CONNECTIONS + 1];
    int n = epoll_wait(epoll, events, CONNECTIONS + 1, timeout_ms);
    for (int i = 0; i < n; i++)
        receive(events[i].data.ptr);
    for (int i = 0; i <= CONNECTIONS; i++)
        flush(connections[i]);
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double p) {
    return sample_count == 0 ? 0
                             : (double)samples[(uint64_t)(p * (double)(sample_count - 1))] / 1e3;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    is_nats = strcmp(argv[1], "nats") == 0;
    bool by_rate = strcmp(argv[3], "rate") == 0;
    uint64_t amount = strtoull(argv[4], NULL, 10);
    uint64_t duration_ns = strtoull(argv[5], NULL, 10) * 1000000000u;
    int epoll = epoll_create1(0), port = (int)strtol(argv[2], NULL, 10);
    for (int i = 0; i <= CONNECTIONS; i++)
        connections[i] = open_connection(port, epoll);
    for (int i = 0; i < CONNECTIONS; i++)
        subscribe(connections[i]);
    if (is_nats)
        put(connections[CONNECTIONS], "CONNECT {\"verbose\":false}\r\n", 27);
    for (unsigned ready = 0; ready < ALL;) {
        turn(epoll, 100);
        ready = 0;
        for (int i = 0; i < CONNECTIONS; i++)
            ready += connections[i]->ready;
    }
    /* The first second warms up. */
    uint64_t begin = now_ns() + 1000000000u, end = begin + duration_ns, next = now_ns();
    uint64_t before = 0;
    while (now_ns() < end) {
        uint64_t now = now_ns();
        if (!measuring && now >= begin) {
            measuring = true;
            before = delivered;
        }
        if (by_rate && now >= next) {
            publish(connections[CONNECTIONS]);
            next += 1000000000u / amount;
        }
        for (int i = 0; !by_rate && i < 64 && published * ALL < delivered + amount * ALL; i++)
            publish(connections[CONNECTIONS]);
        turn(epoll, 0);
    }
    measuring = false;
    uint64_t during = delivered - before, patience = now_ns() + 2000000000u;
    while (delivered < published * ALL && now_ns() < patience)
        turn(epoll, 10);
    qsort(samples, sample_count, sizeof *samples, compare);
    uint64_t lost = published * ALL > delivered ? published * ALL - delivered : 0;
    printf("RESULT {\"messages\":%llu,\"delivered\":%llu,\"lost\":%llu,\"gaps\":%llu,"
           "\"disordered\":%llu,\"rate\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (unsigned long long)published, (unsigned long long)delivered, (unsigned long long)lost,
           (unsigned long long)gaps, (unsigned long long)disordered,
           (double)during / ((double)duration_ns / 1e9), percentile(0.5), percentile(0.99));
    return delivered == published * ALL && gaps == 0 && disordered == 0 ? 0 : 1;
}
