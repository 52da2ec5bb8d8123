/*
 * progress: a bar on standard error for what takes long, when that is a terminal. It shows itself
 * only after half a second, so that short work stays silent.
 */
#ifndef HOOKMOON_CLI_PROGRESS_H
#define HOOKMOON_CLI_PROGRESS_H

#include "base/base.h"

struct progress {
    const char *what; /* a word before the bar, borrowed */
    uint64_t done, total;
    uint64_t started_ns, drawn_ns;
    bool is_terminal;
    bool shown; /* there is a bar on the terminal's last line */
};

void progress_start(struct progress *p, const char *what, uint64_t total);
void progress_set(struct progress *p, uint64_t done);
/* Takes the bar away before something else is printed; it comes back with progress_set. */
void progress_hide(struct progress *p);

#endif
