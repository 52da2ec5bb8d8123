/*
 * moment: points in time as people write them.
 */
#ifndef HOOKMOON_CLI_MOMENT_H
#define HOOKMOON_CLI_MOMENT_H

#include "base/base.h"

/*
 * "2026-11-23T10:00:00Z" (RFC 3339, with a fraction or an offset if you like), "2026-11-23" (its
 * first moment in UTC), or how long before `now_ms`: "2h", "7d". Milliseconds since 1970; false
 * when it is none of these.
 */
bool moment_parse(const char *text, int64_t now_ms, int64_t *ms);

#define MOMENT_SIZE 32
/* RFC 3339 in UTC, with milliseconds. */
void moment_format(char text[static MOMENT_SIZE], int64_t ms);

#endif
