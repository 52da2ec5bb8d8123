/*
 * fanout: an event-stream client that is many subscribers and one publisher, for the benchmark.
 *
 *   fanout run PORT SUB_PATH PUB_PATH SUBSCRIBERS MESSAGES   items per second, all delivered
 *   fanout hold PORT SUB_PATH SUBSCRIBERS                    connects, then waits for the end of
 * stdin fanout ready PORT COMMAND...                             ms from exec to the first 200 of
 * /ready
 *
 * One thread on epoll. The publisher keeps few requests in flight and never gets further ahead than
 * WINDOW messages of the slowest count, so that no server's ring overflows.
 *
 * Build: cc -std=gnu17 -O2 fanout.c -o fanout
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PUBLISHERS = 8, WINDOW = 256, MESSAGE_BYTES = 100, PATIENCE_S = 60 };

static const char mark[] = "data: "; /* one for each event */

struct client {
    int fd;
    bool publishes;
    bool busy;    /* a publisher's request is in flight */
    char tail[8]; /* the end of what was read last: a mark may be cut */
    size_t tail_length;
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static unsigned long long delivered, published, acknowledged, refused;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int try_connect(void) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_text(int fd, const char *text) {
    size_t length = strlen(text);
    if (send(fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
        die("send");
}

static void add(int epoll, struct client *c) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        die("epoll_ctl");
}

static unsigned count_marks(struct client *c, char *bytes, size_t length) {
    /* `bytes` has room for the tail in front. */
    char *start = bytes - c->tail_length;
    memcpy(start, c->tail, c->tail_length);
    size_t size = length + c->tail_length;
    unsigned count = 0;
    char *at = start, *end = start + size;
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) != NULL) {
        count++;
        at += sizeof mark - 1;
    }
    /* Shorter than a mark, so none is counted twice. */
    c->tail_length = size < sizeof mark - 2 ? size : sizeof mark - 2;
    memcpy(c->tail, end - c->tail_length, c->tail_length);
    return count;
}

static void on_readable(struct client *c) {
    static char room[65536 + 16];
    char *bytes = room + 16;
    ssize_t got = recv(c->fd, bytes, 65536, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        fprintf(stderr, "fanout: the server closed a connection\n");
        exit(1);
    }
    if (got < 0)
        return;
    if (!c->publishes) {
        delivered += count_marks(c, bytes, (size_t)got);
        return;
    }
    c->busy = false;
    acknowledged++;
    if (got < 12 || memcmp(bytes, "HTTP/1.1 2", 10) != 0)
        refused++;
}

static struct client *subscribe(int epoll, const char *path, unsigned count) {
    struct client *clients = calloc(count, sizeof *clients);
    char request[512];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", path);
    for (unsigned i = 0; i < count; i++) {
        clients[i].fd = try_connect();
        if (clients[i].fd < 0)
            die("connect");
        send_text(clients[i].fd, request);
        /* The answer's head: it is subscribed once that is there. */
        char head[4096];
        if (recv(clients[i].fd, head, sizeof head, 0) <= 0)
            die("recv");
        add(epoll, &clients[i]);
    }
    return clients;
}

static void wait_events(int epoll, int timeout_ms) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, timeout_ms);
    for (int i = 0; i < count; i++)
        on_readable(events[i].data.ptr);
}

static void settle(int epoll, double seconds) {
    for (double end = now() + seconds; now() < end;)
        wait_events(epoll, 20);
}

static int run(char **argv) {
    unsigned subscribers = (unsigned)atoi(argv[2]);
    unsigned long long messages = strtoull(argv[3], NULL, 10), wanted = messages * subscribers;
    char request[1024], message[MESSAGE_BYTES + 1];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    memset(message, 'm', MESSAGE_BYTES);
    message[MESSAGE_BYTES] = '\0';
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
             "Content-Length: %d\r\n\r\n%s",
             argv[1], MESSAGE_BYTES, message);
    subscribe(epoll, argv[0], subscribers);
    struct client publishers[PUBLISHERS] = {0};
    for (int i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct client){.fd = try_connect(), .publishes = true};
        add(epoll, &publishers[i]);
    }
    settle(epoll, 0.5);
    delivered = 0;
    double start = now();
    while ((delivered < wanted || acknowledged < messages) && now() < start + PATIENCE_S) {
        for (int i = 0; i < PUBLISHERS && published < messages; i++) {
            if (publishers[i].busy ||
                (published + 1) * subscribers > delivered + WINDOW * subscribers)
                continue;
            send_text(publishers[i].fd, request);
            publishers[i].busy = true;
            published++;
        }
        wait_events(epoll, 100);
    }
    double seconds = now() - start;
    printf(
        "RESULT {\"rate\":%.0f,\"items\":%llu,\"lost\":%lld,\"refused\":%llu,\"seconds\":%.3f}\n",
        (double)delivered / seconds, delivered, (long long)wanted - (long long)delivered, refused,
        seconds);
    return delivered == wanted && refused == 0 ? 0 : 1;
}

static int hold(char **argv) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    subscribe(epoll, argv[0], (unsigned)atoi(argv[1]));
    settle(epoll, 0.5);
    puts("held");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

static int ready(char **argv) {
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    for (;;) {
        char answer[64] = "";
        int fd = try_connect();
        if (fd >= 0) {
            send_text(fd, "GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n");
            if (recv(fd, answer, sizeof answer - 1, 0) > 0 && strstr(answer, " 200 ") != NULL)
                break;
            close(fd);
        }
        if (now() > start + 10 || waitpid(child, NULL, WNOHANG) == child) {
            fprintf(stderr, "fanout: it did not become ready\n");
            return 1;
        }
        usleep(100);
    }
    printf("%.2f\n", (now() - start) * 1e3);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    return 0;
}

int main(int argc, char **argv) {
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((unsigned short)(argc > 2 ? atoi(argv[2]) : 0));
    if (argc == 7 && strcmp(argv[1], "run") == 0)
        return run(argv + 3);
    if (argc == 5 && strcmp(argv[1], "hold") == 0)
        return hold(argv + 3);
    if (argc >= 4 && strcmp(argv[1], "ready") == 0)
        return ready(argv + 3);
    fprintf(stderr, "usage: fanout run|hold|ready ...; see the source's head\n");
    return 2;
}
