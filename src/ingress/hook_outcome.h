/*
 * hook_outcome: the words under which requests to hooks are counted, by the status they got.
 */
#ifndef HOOKMOON_INGRESS_HOOK_OUTCOME_H
#define HOOKMOON_INGRESS_HOOK_OUTCOME_H

#include <stddef.h>

#define HOOK_OUTCOMES 11

struct hook_outcome {
    unsigned status; /* 0: the client was gone before the answer */
    const char *word;
};

extern const struct hook_outcome hook_outcomes[HOOK_OUTCOMES];

/* The row for a status; the last row is for those that have none. */
size_t hook_outcome_of(unsigned status);

#endif
