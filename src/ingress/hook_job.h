/*
 * hook_job: an accepted event on its way: through its script, onto the disk, and to its answer.
 * Internal to ingress/; the worker's thread.
 *
 * What the script publishes, the event's fingerprint and, if it was waiting in the inbox, its row
 * there are one transaction. An event whose script fails becomes a dead letter.
 */
#ifndef HOOKMOON_INGRESS_HOOK_JOB_H
#define HOOKMOON_INGRESS_HOOK_JOB_H

#include "ingress/event.h"
#include "ingress/hook_table.h"
#include "store/inbox_table.h"

/* Runs the request's event, or takes it into the inbox, and answers. The request's data is `h`
 * before and after. */
void hook_job_start(struct ingress *in, struct http_request *r, struct hook *h,
                    const struct event *ev);

/* Runs one that waited in the inbox. False: it cannot be run now. */
bool hook_job_resume(struct ingress *in, const struct inbox_row *row);

/* Runs a script on a stored event, as deadletters replay does; `publishes` are valid until the
 * script runs again. False: `e` has file:line, `*traceback` more. */
bool hook_job_try(struct ingress *in, struct hook *h, const char *request, const char *body,
                  size_t length, struct script_outcome *outcome, const char **traceback,
                  struct error *e);

/* Refusals and failures are logged, so many a second. */
bool hook_may_log(struct hook_table *t);

#endif
