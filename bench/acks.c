/*
 * acks: publishers that wait for the acknowledgement of each message before they send the next.
 *
 * Over HTTP a message is a POST, which an answer of 2xx acknowledges; over NATS a PUB with a reply
 * subject, which JetStream answers. On the disk there is no server: 200 bytes are appended to a
 * file and synced, again and again.
 *
 * Bodies of 100 bytes. Prints a RESULT line: acknowledged a second, their median and 99th
 * percentile in microseconds, and how many were refused.
 *
 * Build: cc -std=gnu17 -O2 acks.c -o acks
 * Run:   acks http PORT PATH CONNECTIONS SECONDS
 *        acks nats PORT SUBJECT CONNECTIONS SECONDS
 *        acks disk FILE 1 1 SECONDS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BODY = 100, SAMPLES = 1 << 22 };

struct connection {
    int fd;
    size_t length;
    bool ready; /* NATS: the server's INFO was read */
    uint64_t sent_ns;
    char in[8192];
};

static char message[1024];
static size_t message_length;
static bool nats;
static uint32_t *samples;
static long acknowledged, refused;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "acks: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_all(int fd, const char *bytes, size_t length) {
    if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("sending");
}

static void publish(struct connection *c) {
    c->sent_ns = now_ns();
    send_all(c->fd, message, message_length);
}

static void count(uint64_t ns, bool good) {
    if (!good)
        refused++;
    else if (acknowledged < SAMPLES)
        samples[acknowledged++] = (uint32_t)(ns / 1000);
    else
        acknowledged++;
}

/* The length of the answer's first message, 0 when it is not all there; *good: it acknowledges. */
static size_t http_answer(struct connection *c, bool *good) {
    char *end = memmem(c->in, c->length, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    *end = '\0';
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    size_t body = field != NULL ? strtoul(field + 17, NULL, 10) : 0;
    *end = '\r';
    size_t whole = (size_t)(end - c->in) + 4 + body;
    *good = memcmp(c->in + 9, "20", 2) == 0;
    return c->length < whole ? 0 : whole;
}

static size_t nats_answer(struct connection *c, bool *good, bool *is_ack) {
    char *end = memmem(c->in, c->length, "\r\n", 2);
    *is_ack = false;
    if (end == NULL)
        return 0;
    size_t line = (size_t)(end - c->in) + 2;
    if (strncmp(c->in, "MSG ", 4) != 0) {
        if (strncmp(c->in, "PING", 4) == 0)
            send_all(c->fd, "PONG\r\n", 6);
        if (strncmp(c->in, "-ERR", 4) == 0) {
            fprintf(stderr, "acks: %.*s\n", (int)line, c->in);
            exit(1);
        }
        if (strncmp(c->in, "INFO", 4) == 0 && !c->ready) {
            c->ready = true;
            publish(c);
        }
        return line;
    }
    *end = '\0';
    size_t whole = line + strtoul(strrchr(c->in, ' ') + 1, NULL, 10) + 2;
    *end = '\r';
    if (c->length < whole)
        return 0;
    *is_ack = true;
    *good = memmem(c->in + line, whole - line, "\"seq\":", 6) != NULL;
    return whole;
}

static void on_input(struct connection *c) {
    ssize_t n = recv(c->fd, c->in + c->length, sizeof c->in - c->length, 0);
    if (n <= 0)
        fail("the server closed a connection");
    c->length += (size_t)n;
    for (;;) {
        bool good = false, is_ack = true;
        size_t used = nats ? nats_answer(c, &good, &is_ack) : http_answer(c, &good);
        if (used == 0)
            return;
        memmove(c->in, c->in + used, c->length -= used);
        if (is_ack) {
            count(now_ns() - c->sent_ns, good);
            publish(c);
        }
    }
}

static void open_connection(struct connection *c, int port, int number) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[256];
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connecting");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!nats)
        return;
    int length = snprintf(text, sizeof text,
                          "CONNECT {\"verbose\":false}\r\nSUB _INBOX.acks%d 1\r\n", number);
    send_all(c->fd, text, (size_t)length);
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(uint64_t since_ns) {
    double seconds = (double)(now_ns() - since_ns) / 1e9;
    size_t kept = (size_t)(acknowledged < SAMPLES ? acknowledged : SAMPLES);
    qsort(samples, kept, sizeof *samples, by_value);
    printf("RESULT {\"acked\":%ld,\"rate\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"refused\":%ld}\n",
           acknowledged, (double)acknowledged / seconds, kept > 0 ? samples[kept / 2] : 0,
           kept > 0 ? samples[kept * 99 / 100] : 0, refused);
}

static void append_to_disk(const char *path, double seconds) {
    char bytes[200] = "x";
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_TRUNC, 0600);
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    if (fd < 0)
        fail(path);
    while (now_ns() < end) {
        uint64_t at = now_ns();
        if (write(fd, bytes, sizeof bytes) != sizeof bytes || fsync(fd) != 0)
            fail(path);
        count(now_ns() - at, true);
    }
    report(start);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: %s http|nats|disk PORT PATH CONNECTIONS SECONDS\n", argv[0]);
        return 2;
    }
    int port = atoi(argv[2]), connections = atoi(argv[4]);
    double seconds = atof(argv[5]);
    samples = malloc(SAMPLES * sizeof *samples);
    if (strcmp(argv[1], "disk") == 0) {
        append_to_disk(argv[2], seconds);
        return 0;
    }
    nats = strcmp(argv[1], "nats") == 0;
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        open_connection(&all[i], port, i);
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &e);
    }
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < connections && !nats; i++) {
        message_length = (size_t)snprintf(message, sizeof message,
                                          "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                          "text/plain\r\nContent-Length: %d\r\n\r\n%0*d",
                                          argv[3], BODY, BODY, 0);
        publish(&all[i]);
    }
    while (now_ns() < end) {
        struct epoll_event events[64];
        int n = epoll_wait(poll, events, 64, 100);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (nats) /* the answer comes to the connection's own inbox */
                message_length =
                    (size_t)snprintf(message, sizeof message, "PUB %s _INBOX.acks%d %d\r\n%0*d\r\n",
                                     argv[3], (int)(c - all), BODY, BODY, 0);
            on_input(c);
        }
    }
    report(start);
    return refused == 0 ? 0 : 1;
}
