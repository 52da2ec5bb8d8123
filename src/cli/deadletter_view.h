/*
 * deadletter_view: dead letters as people read them, on standard output. What comes from outside is
 * printed without control characters.
 */
#ifndef HOOKMOON_CLI_DEADLETTER_VIEW_H
#define HOOKMOON_CLI_DEADLETTER_VIEW_H

#include <jansson.h>

/* An array of them, a row each; nothing when there are none. */
void deadletter_print_table(const json_t *all);
/* Everything about one. */
void deadletter_print(json_t *letter);

#endif
