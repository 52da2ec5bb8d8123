#include "ingress/replay.h"

#include <pthread.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SHARDS 16

/*
 * A set of fingerprints with open addressing: uthash would cost five times the memory, and a busy
 * hook remembers millions. `b` of an entry has its lowest bit set when the event is done; an entry
 * is empty when both are 0.
 */
struct set {
    struct fingerprint *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

struct shard {
    pthread_mutex_t lock;   /* guards all below */
    struct set now, before; /* this window and the last */
    uint64_t since_ns;      /* when `now` began */
};

struct replay {
    uint64_t window_ns;
    size_t max_entries; /* per shard and window */
    uint64_t seed;
    struct shard shards[SHARDS];
};

struct replay *replay_new(int64_t window_ms, size_t max_entries, uint64_t seed) {
    struct replay *r = xcalloc(1, sizeof *r);
    r->window_ns = (uint64_t)window_ms * 1000000u;
    r->max_entries = max_entries / SHARDS + 1;
    r->seed = seed;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&r->shards[i].lock, NULL);
    return r;
}

void replay_free(struct replay *r) {
    if (r == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        free(r->shards[i].now.entries);
        free(r->shards[i].before.entries);
        pthread_mutex_destroy(&r->shards[i].lock);
    }
    free(r);
}

/* ---- the set ---- */

static size_t home(const struct set *s, struct fingerprint f) {
    return (size_t)f.a & (s->capacity - 1);
}

static struct fingerprint *set_find(const struct set *s, struct fingerprint f) {
    if (s->capacity == 0)
        return NULL;
    for (size_t i = home(s, f);; i = (i + 1) & (s->capacity - 1)) {
        struct fingerprint *at = &s->entries[i];
        if (at->a == f.a && (at->b | 1) == (f.b | 1))
            return at;
        if (at->a == 0 && at->b == 0)
            return NULL;
    }
}

static void set_place(struct set *s, struct fingerprint f) {
    size_t i = home(s, f);
    while (s->entries[i].a != 0 || s->entries[i].b != 0)
        i = (i + 1) & (s->capacity - 1);
    s->entries[i] = f;
}

static void set_add(struct set *s, struct fingerprint f) {
    if (s->count * 4 >= s->capacity * 3) {
        struct set larger = {.capacity = s->capacity == 0 ? 64 : s->capacity * 2,
                             .count = s->count};
        larger.entries = xcalloc(larger.capacity, sizeof *larger.entries);
        for (size_t i = 0; i < s->capacity; i++) {
            if (s->entries[i].a != 0 || s->entries[i].b != 0)
                set_place(&larger, s->entries[i]);
        }
        free(s->entries);
        *s = larger;
    }
    set_place(s, f);
    s->count++;
}

/* Removes and moves back what would not be found past the hole. */
static void set_remove(struct set *s, struct fingerprint *at) {
    size_t mask = s->capacity - 1, hole = (size_t)(at - s->entries);
    for (size_t i = (hole + 1) & mask; s->entries[i].a != 0 || s->entries[i].b != 0;
         i = (i + 1) & mask) {
        size_t distance_home = (i - home(s, s->entries[i])) & mask;
        if (distance_home >= ((i - hole) & mask)) {
            s->entries[hole] = s->entries[i];
            hole = i;
        }
    }
    s->entries[hole] = (struct fingerprint){0, 0};
    s->count--;
}

/* ---- the windows ---- */

static struct shard *shard_of(struct replay *r, struct fingerprint f) {
    return &r->shards[f.b >> 60 & (SHARDS - 1)];
}

static void turn(struct replay *r, struct shard *s, uint64_t now_ns) {
    if (s->since_ns == 0)
        s->since_ns = now_ns;
    if (now_ns - s->since_ns < r->window_ns)
        return;
    free(s->before.entries);
    s->before = s->now;
    s->now = (struct set){0};
    if (now_ns - s->since_ns >= 2 * r->window_ns) {
        free(s->before.entries);
        s->before = (struct set){0};
    }
    s->since_ns = now_ns;
}

static struct fingerprint digest(const XXH3_state_t *state) {
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    /* The lowest bit of b says that it is done; a is never 0, as an empty entry's is. */
    return (struct fingerprint){hash.low64 | 1ull << 63, hash.high64 & ~1ull};
}

struct fingerprint replay_fingerprint(const struct replay *r, const char *hook,
                                      const struct event *ev) {
    const char *parts[] = {hook, ev->cache, ev->topic, ev->token_id, ev->text};
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset_withSeed(&state, r->seed);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        XXH3_128bits_update(&state, parts[i], strlen(parts[i]) + 1);
    XXH3_128bits_update(&state, &ev->event_timestamp, sizeof ev->event_timestamp);
    XXH3_128bits_update(&state, &ev->sequence_number, sizeof ev->sequence_number);
    return digest(&state);
}

struct fingerprint replay_fingerprint_id(const struct replay *r, const char *hook, const char *id) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset_withSeed(&state, r->seed + 1); /* no event has one of these */
    XXH3_128bits_update(&state, hook, strlen(hook) + 1);
    XXH3_128bits_update(&state, id, strlen(id));
    return digest(&state);
}

enum replay_answer replay_begin(struct replay *r, struct fingerprint f, uint64_t now_ns) {
    struct shard *s = shard_of(r, f);
    enum replay_answer answer = REPLAY_NEW;
    pthread_mutex_lock(&s->lock);
    turn(r, s, now_ns);
    const struct fingerprint *known = set_find(&s->now, f);
    if (known == NULL)
        known = set_find(&s->before, f);
    if (known != NULL)
        answer = (known->b & 1) != 0 ? REPLAY_DONE : REPLAY_RUNNING;
    else if (s->now.count >= r->max_entries)
        answer = REPLAY_FULL;
    else
        set_add(&s->now, f);
    pthread_mutex_unlock(&s->lock);
    return answer;
}

void replay_restore(struct replay *r, struct fingerprint f, uint64_t now_ns) {
    if (replay_begin(r, f, now_ns) == REPLAY_NEW)
        replay_done(r, f);
}

bool replay_knows(struct replay *r, struct fingerprint f) {
    struct shard *s = shard_of(r, f);
    pthread_mutex_lock(&s->lock);
    bool known = set_find(&s->now, f) != NULL || set_find(&s->before, f) != NULL;
    pthread_mutex_unlock(&s->lock);
    return known;
}

void replay_done(struct replay *r, struct fingerprint f) {
    struct shard *s = shard_of(r, f);
    pthread_mutex_lock(&s->lock);
    struct fingerprint *known = set_find(&s->now, f);
    if (known == NULL)
        known = set_find(&s->before, f);
    if (known != NULL)
        known->b |= 1;
    pthread_mutex_unlock(&s->lock);
}

void replay_forget(struct replay *r, struct fingerprint f) {
    struct shard *s = shard_of(r, f);
    pthread_mutex_lock(&s->lock);
    struct set *sets[] = {&s->now, &s->before};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        struct fingerprint *known = set_find(sets[i], f);
        if (known != NULL)
            set_remove(sets[i], known);
    }
    pthread_mutex_unlock(&s->lock);
}
