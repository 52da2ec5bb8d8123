/*
 * inbox: runs the scripts of events that wait: after a failure, or a restart.
 */
#include "ingress/hook_job.h"

#define TICK_MS 200

static bool take(void *context, const struct inbox_row *row) {
    return hook_job_resume(context, row) || true;
}

static void on_tick(uv_timer_t *timer) {
    struct ingress *in = timer->data;
    struct error e;
    /* What is under way is still due by its row, so one batch ends before the next begins. */
    if (in->inbox_running > 0 || atomic_load(&in->shared->inbox) == 0 ||
        ingress_phase(in) == PHASE_STOPPING)
        return;
    struct database *db = mailbox_reader(in->mailbox, &e);
    if (db == NULL ||
        !inbox_table_due(db, clock_wall_ms(), in->index, in->shared->workers, take, in, &e))
        log_error("events that wait cannot be read", LOG_STR("error", e.message));
}

void inbox_start(struct ingress *in) {
    uv_timer_init(in->loop, &in->inbox);
    in->inbox.data = in;
    uv_timer_start(&in->inbox, on_tick, TICK_MS, TICK_MS);
}
