#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#define SILENT_NS   500000000u
#define INTERVAL_NS 100000000u
#define WIDTH       30

void progress_start(struct progress *p, const char *what, uint64_t total) {
    *p = (struct progress){
        .what = what,
        .total = total,
        .started_ns = clock_mono_ns(),
        .is_terminal = isatty(STDERR_FILENO),
    };
}

static void draw(struct progress *p) {
    char bar[WIDTH + 1];
    uint64_t done = p->done < p->total ? p->done : p->total;
    size_t full = (size_t)((double)done * WIDTH / (double)p->total);
    memset(bar, '.', WIDTH);
    memset(bar, '#', full);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %3u%%\033[K", p->what, bar,
            (unsigned)((double)done * 100 / (double)p->total));
    p->shown = true;
}

void progress_set(struct progress *p, uint64_t done) {
    uint64_t now = clock_mono_ns();
    p->done = done;
    if (!p->is_terminal || p->total == 0 || now - p->started_ns < SILENT_NS ||
        now - p->drawn_ns < INTERVAL_NS)
        return;
    p->drawn_ns = now;
    draw(p);
}

void progress_hide(struct progress *p) {
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
