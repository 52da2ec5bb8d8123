#include "config/webhook_policy.h"

#define DAY_MS 86400000LL

void webhook_policy_init(struct webhook_policy *p) {
    *p = (struct webhook_policy){
        .retry = {.first_ms = 1000, .factor = 2, .max_ms = 3600000},
        .give_up_ms = 3 * DAY_MS,
        .disable_after_ms = 5 * DAY_MS,
    };
}

json_t *webhook_policy_to_json(const struct webhook_policy *p) {
    json_t *json = json_object();
    if (p->ordered)
        json_object_set_new(json, "order", json_string("topic"));
    if (p->once)
        json_object_set_new(json, "delivery", json_string("once"));
    if (p->concurrency > 0)
        json_object_set_new(json, "concurrency", json_integer(p->concurrency));
    if (p->rate > 0)
        json_object_set_new(json, "rate", json_real(p->rate));
    return json;
}

/* One of two words; `*value` is whether it is the second. */
static bool read_choice(const json_t *json, const char *name, const char *off, const char *on,
                        bool *value, struct error *e) {
    const json_t *member = json_object_get(json, name);
    const char *word = json_string_value(member);
    if (member == NULL)
        return true;
    if (word == NULL || (strcmp(word, off) != 0 && strcmp(word, on) != 0))
        return error_set(e, ERROR_INVALID, "%s must be \"%s\" or \"%s\"", name, off, on);
    *value = strcmp(word, on) == 0;
    return true;
}

bool webhook_policy_from_json(struct webhook_policy *p, const json_t *json, struct error *e) {
    const json_t *concurrency = json_object_get(json, "concurrency");
    const json_t *rate = json_object_get(json, "rate");
    if (!read_choice(json, "order", "none", "topic", &p->ordered, e) ||
        !read_choice(json, "delivery", "at_least_once", "once", &p->once, e))
        return false;
    if (concurrency != NULL) {
        json_int_t n = json_integer_value(concurrency);
        if (!json_is_integer(concurrency) || n < 1 || n > 1000)
            return error_set(e, ERROR_INVALID, "concurrency must be a number from 1 to 1000");
        p->concurrency = (unsigned)n;
    }
    if (rate != NULL) {
        double n = json_number_value(rate);
        if (!json_is_number(rate) || n < 0 || n > 1e9)
            return error_set(e, ERROR_INVALID, "rate must be a number of requests a second");
        p->rate = n;
    }
    return true;
}
