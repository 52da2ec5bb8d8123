/*
 * gen_events: writes K distinct signed webhook requests, whole and all of one size.
 *
 * The gateway runs no event twice within its replay window, so a load test has to send different
 * ones; building and signing them beforehand keeps the load generator cheap. Bodies follow
 * Momento's delivery format (compact JSON, fixed key order); only topic_sequence_number differs,
 * and it has a fixed width, so that all have the same size (bodies of 190 bytes).
 *
 * LuaJIT, in which wrk builds its requests, hashes of a long string only its first and last four
 * bytes and those at its middle and first quarter: were these equal in all requests, it would spend
 * its time in one chain. So the headers are laid out that the signature lies across the middle.
 *
 * Build: cc -std=gnu17 -O2 gen_events.c -o gen_events -lcrypto
 * Run:   gen_events SECRET COUNT [CACHE] > requests.bin       (CACHE has four letters: chat)
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIRST_NUMBER = 100000001, BODY_SIZE = 190 };

static const char head[] = "POST /hooks/uppercase HTTP/1.1\r\nHost: localhost\r\n"
                           "User-Agent: bench/1.0 (wrk)\r\nContent-Type: application/json\r\n"
                           "Content-Length: 190\r\nmomento-signature: ";

static int write_body(char *body, size_t capacity, const char *cache, long long now_ms,
                      long number) {
    return snprintf(body, capacity,
                    "{\"cache\":\"%s\",\"topic\":\"room-281\",\"event_timestamp\":%lld,"
                    "\"publish_timestamp\":%lld,\"topic_sequence_number\":%ld,"
                    "\"token_id\":\"mo-the-squirrel\",\"text\":\"Here I am!! :-)!\"}",
                    cache, now_ms - 1, now_ms, number);
}

int main(int argc, char **argv) {
    const char *secret = argc >= 3 ? argv[1] : NULL;
    long count = argc >= 3 ? atol(argv[2]) : 0;
    const char *cache = argc == 4 ? argv[3] : "chat";
    struct timespec now;
    if (secret == NULL || count < 1 || count > 100000000) {
        fprintf(stderr, "usage: %s SECRET COUNT [CACHE]\n", argv[0]);
        return 2;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    long long now_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    for (long i = 0; i < count; i++) {
        char body[256];
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned mac_length = 0;
        int length = write_body(body, sizeof body, cache, now_ms, FIRST_NUMBER + i);
        if (length != BODY_SIZE) {
            fprintf(stderr, "gen_events: a body has %d bytes instead of %d\n", length, BODY_SIZE);
            return 1;
        }
        if (HMAC(EVP_sha3_256(), secret, (int)strlen(secret), (unsigned char *)body, (size_t)length,
                 mac, &mac_length) == NULL) {
            fprintf(stderr, "gen_events: signing failed\n");
            return 1;
        }
        fputs(head, stdout);
        for (unsigned b = 0; b < mac_length; b++)
            printf("%02x", mac[b]);
        printf("\r\n\r\n%s", body);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("gen_events: writing requests");
        return 1;
    }
    return 0;
}
