/* How a webhook is to deliver, as the admin API gets it and as the database keeps it. */
#include <stdlib.h>

#include "config/webhook_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *json = json_loadb((const char *)data, size, 0, NULL);
    struct webhook_policy policy, again;
    struct error e = {0};
    if (json == NULL)
        return 0;
    webhook_policy_init(&policy);
    webhook_policy_init(&again);
    if (webhook_policy_from_json(&policy, json, &e)) {
        json_t *kept = webhook_policy_to_json(&policy);
        if (!webhook_policy_from_json(&again, kept, &e) || policy.ordered != again.ordered ||
            policy.once != again.once || policy.concurrency != again.concurrency ||
            policy.rate != again.rate)
            abort();
        json_decref(kept);
    } else if (e.code != ERROR_INVALID || e.message[0] == '\0') {
        abort();
    }
    json_decref(json);
    return 0;
}
