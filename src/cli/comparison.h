/*
 * comparison: what two versions of a script make of the same item.
 */
#ifndef HOOKMOON_CLI_COMPARISON_H
#define HOOKMOON_CLI_COMPARISON_H

#include "cli/local_script.h"

/* What a script made of an item: its messages as JSON, a line each, or why it failed. */
struct script_result {
    struct buffer lines;
    size_t count;
    struct buffer why;
};

struct comparison {
    struct script_result old, new;
    bool same; /* also when both failed */
    bool both_failed;
};

void comparison_run(struct comparison *c, struct local_script *old, struct local_script *new,
                    const char *cache, const char *topic, const struct item *item);
void comparison_free(struct comparison *c);

/* On standard output: as diff does, or as one JSON line. */
void comparison_print(const struct comparison *c, const struct item *item);
void comparison_print_json(const struct comparison *c, const struct item *item);

#endif
