#include "ingress/hook_outcome.h"

const struct hook_outcome hook_outcomes[HOOK_OUTCOMES] = {
    {200, "ok"},           {400, "invalid"},     {401, "unauthenticated"}, {405, "method"},
    {408, "timeout"},      {413, "too_large"},   {415, "media_type"},      {429, "rate_limited"},
    {500, "script_error"}, {503, "unavailable"}, {0, "abandoned"},
};

size_t hook_outcome_of(unsigned status) {
    size_t i = 0;
    while (i < HOOK_OUTCOMES - 1 && hook_outcomes[i].status != status)
        i++;
    return i;
}
