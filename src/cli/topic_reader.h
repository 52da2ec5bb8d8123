/*
 * topic_reader: what a topic retains, item by item, over the gateway's HTTP API. It resumes by
 * number, so a gateway that restarts meanwhile is no harm.
 */
#ifndef HOOKMOON_CLI_TOPIC_READER_H
#define HOOKMOON_CLI_TOPIC_READER_H

#include "cli/exchange.h"

struct topic_reader {
    struct exchange *exchange;
    const char *cache, *topic;
    uint64_t page;   /* of the topic when it was opened */
    uint64_t newest; /* the number of its last item then; 0: there was none */
    uint64_t number; /* the next to be handed out */
    json_t *batch;   /* was read and not yet handed out, from `at` on */
    size_t at;
    uint64_t nothing_from; /* nothing is retained from this number on; 0: not known of any */
};

/* Finds the page and the newest number. False: it was reported. Close it in either case. */
bool topic_reader_open(struct topic_reader *r, struct exchange *x, const char *cache,
                       const char *topic);
void topic_reader_close(struct topic_reader *r);

/* What comes next has this number, or the next one that is still there. */
void topic_reader_seek(struct topic_reader *r, uint64_t number);
/*
 * The next item up to the newest, NULL at the end; the caller unrefs it. `*missing` is how many in
 * front of it (or of the end) are no longer retained. False: it failed and was reported.
 */
bool topic_reader_next(struct topic_reader *r, struct item **item, uint64_t *missing);
/* The number of the first item that was published at `ms` or later; newest + 1 when there is none.
 */
bool topic_reader_find(struct topic_reader *r, int64_t ms, uint64_t *number);

#endif
