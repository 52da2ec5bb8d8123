#include "cli/local_script.h"

#include <stdlib.h>
#include <unistd.h>

#include "config/config_load.h"
#include "egress/momento_event.h"
#include "ingress/event.h"
#include "ingress/limits.h"

static void on_problem(void *context, const char *where, const char *field, const char *message) {
    (void)context;
    cli_fail("%s: %s%s%s", where, field, field[0] != '\0' ? ": " : "", message);
}

/* Where the bundle of that name is; the caller frees. */
static char *find_bundle(const struct config *c, const char *name) {
    char *path = xstrdup(name);
    if (access(path, F_OK) == 0 || !bundle_name_valid(name, strlen(name)))
        return path;
    char *file = xasprintf("%s/%s.lua", c->scripts, name);
    char *folder = xasprintf("%s/%s", c->scripts, name);
    if (access(file, F_OK) == 0) {
        free(path);
        path = xstrdup(file);
    } else if (access(folder, F_OK) == 0) {
        free(path);
        path = xstrdup(folder);
    }
    free(file);
    free(folder);
    return path;
}

bool local_script_open(struct local_script *l, const char *name, const char *hook,
                       const char *config_file) {
    struct error e;
    *l = (struct local_script){.hook = hook};
    config_init(&l->config);
    log_setup(LOG_DEBUG, LOG_HUMAN);
    if (config_file != NULL && !config_load(&l->config, config_file, on_problem, NULL))
        return false;
    struct script_limits limits = limits_for_script(&l->config);
    char *path = find_bundle(&l->config, name);
    l->bundle = bundle_load(path, &e);
    free(path);
    l->script = l->bundle != NULL ? script_new(l->bundle, &limits, &e) : NULL;
    if (l->script == NULL) {
        cli_fail("%s", e.message);
        return false;
    }
    if (hook[0] != '\0' && !bundle_has_hook(l->bundle, hook)) {
        cli_fail("the manifest of %s lists no hook \"%s\"", l->bundle->name, hook);
        return false;
    }
    l->request_path = xasprintf("/hooks/%s%s%s", l->bundle->name, hook[0] != '\0' ? "/" : "", hook);
    return true;
}

void local_script_close(struct local_script *l) {
    script_free(l->script);
    bundle_free(l->bundle);
    free(l->request_path);
    config_free(&l->config);
    *l = (struct local_script){0};
}

bool local_script_run(struct local_script *l, const struct event *ev,
                      const struct local_request *from, struct script_outcome *outcome,
                      struct error *e) {
    struct script_request request = {
        .id = from->id,
        .method = "POST",
        .path = l->request_path,
        .hook = l->hook,
        .body = from->body,
        .body_length = from->body_length,
        .each_header = from->each_header,
        .source = from->source,
    };
    return script_run(l->script, ev, &request, outcome, e);
}

const char *local_script_failure(const struct local_script *l, const struct error *e) {
    const char *traceback = script_traceback(l->script);
    return traceback[0] != '\0' ? traceback : e->message;
}

static void each_header(const void *source, void (*each)(void *, const char *, const char *),
                        void *context) {
    (void)source;
    each(context, "content-type", "application/json");
}

void local_script_run_item(struct local_script *l, const char *cache, const char *topic,
                           const struct item *item, struct script_outcome *outcome,
                           struct buffer *why) {
    struct error e;
    struct event ev;
    struct buffer body = {0};
    *outcome = (struct script_outcome){0};
    buffer_clear(why);
    momento_event_write(&body, cache, topic, item, clock_wall_ms());
    const struct local_request from = {
        .id = "replay", .body = body.data, .body_length = body.length, .each_header = each_header};
    if (!event_parse(&ev, body.data, body.length, l->config.limits.json_depth, &e)) {
        buffer_add_string(why, e.message);
    } else {
        if (!local_script_run(l, &ev, &from, outcome, &e))
            buffer_add_string(why, local_script_failure(l, &e));
        event_clear(&ev);
    }
    buffer_free(&body);
}

void local_script_add_publish(struct buffer *to, const struct publish *p) {
    buffer_add_string(to, "\"cache\":");
    buffer_add_json_string(to, p->cache, strlen(p->cache));
    buffer_add_string(to, ",\"topic\":");
    buffer_add_json_string(to, p->topic, strlen(p->topic));
    if (p->item->kind == ITEM_TEXT) {
        buffer_add_string(to, ",\"text\":");
        buffer_add_json_string(to, p->item->value, p->item->length);
    } else {
        buffer_add_string(to, ",\"binary\":\"");
        buffer_add_base64(to, p->item->value, p->item->length);
        buffer_add_char(to, '"');
    }
}
