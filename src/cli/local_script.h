/*
 * local_script: a script that runs in the command's own process, for `run` and `replay`.
 */
#ifndef HOOKMOON_CLI_LOCAL_SCRIPT_H
#define HOOKMOON_CLI_LOCAL_SCRIPT_H

#include "cli/cli.h"
#include "config/config.h"
#include "script/script.h"

struct local_script {
    struct config config;
    struct bundle *bundle;
    struct script *script;
    char *request_path; /* as if it came to this one */
    const char *hook;
};

/*
 * Loads `name`: a .lua file, a bundle's folder, or the bare name of one in the folder of scripts.
 * `hook` is the part behind the bundle's name, "" for none; `config_file` (may be NULL) is where
 * the limits and the folder of scripts come from. False: it was reported. Close it in either case.
 */
bool local_script_open(struct local_script *l, const char *name, const char *hook,
                       const char *config_file);
void local_script_close(struct local_script *l);

/* Who made the event's request: its body and headers, borrowed. */
struct local_request {
    const char *id;
    const char *body;
    size_t body_length;
    void (*each_header)(const void *source, void (*each)(void *, const char *, const char *),
                        void *context);
    const void *source;
};

/* As script_run. */
bool local_script_run(struct local_script *l, const struct event *ev,
                      const struct local_request *from, struct script_outcome *outcome,
                      struct error *e);
/* What went wrong with the last run, with file, line and traceback when there is one. */
const char *local_script_failure(const struct local_script *l, const struct error *e);

/*
 * Runs it on an item of a topic, as a webhook would deliver it now. What it publishes is valid
 * until its next run; `why` is emptied, or says what went wrong.
 */
void local_script_run_item(struct local_script *l, const char *cache, const char *topic,
                           const struct item *item, struct script_outcome *outcome,
                           struct buffer *why);

/* Appends `"cache":..,"topic":..,"text":..` (or "binary", base64) of what a script publishes. */
void local_script_add_publish(struct buffer *to, const struct publish *p);

#endif
