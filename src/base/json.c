#include "base/json.h"

bool json_nested_deeper(const char *text, size_t length, unsigned max_depth) {
    /* Mostly there are fewer brackets than levels, which the compiler counts many at a time. */
    size_t brackets = 0;
    for (size_t i = 0; i < length; i++)
        brackets += text[i] == '{' || text[i] == '[';
    if (brackets <= max_depth)
        return false;
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}
