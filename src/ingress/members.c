#include "ingress/members.h"

#include "base/similar.h"

bool members_check(const json_t *object, const char *const *known, struct error *e) {
    const char *name;
    json_t *ignored;
    json_object_foreach((json_t *)(uintptr_t)object, name, ignored) {
        const char *guess = NULL;
        size_t bound = 3;
        bool is_known = false;
        for (const char *const *at = known; *at != NULL; at++) {
            size_t mistakes = similar_distance(name, *at);
            is_known = is_known || strcmp(name, *at) == 0;
            if (mistakes < bound) {
                bound = mistakes;
                guess = *at;
            }
        }
        if (!is_known && guess != NULL)
            return error_set(e, ERROR_INVALID, "\"%.64s\" is not known; did you mean \"%s\"?", name,
                             guess);
        if (!is_known)
            return error_set(e, ERROR_INVALID, "\"%.64s\" is not known", name);
    }
    return true;
}

bool members_string(const json_t *object, const char *name, bool required, const char **value,
                    struct error *e) {
    const json_t *member = json_object_get(object, name);
    *value = json_string_value(member);
    if (*value != NULL)
        return true;
    if (member != NULL && !json_is_null(member))
        return error_set(e, ERROR_INVALID, "%s must be a string", name);
    return !required || error_set(e, ERROR_INVALID, "%s is missing", name);
}
