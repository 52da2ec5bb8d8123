#include "base/utf8.h"

/* How many bytes the well-formed sequence at `s` has; 0 when it is none (Unicode table 3-7). */
static size_t sequence_length(const unsigned char *s, size_t left) {
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        length = 2;
    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        length = 3;
        if (s[0] == 0xe0)
            low = 0xa0;
        else if (s[0] == 0xed)
            high = 0x9f;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        length = 4;
        if (s[0] == 0xf0)
            low = 0x90;
        else if (s[0] == 0xf4)
            high = 0x8f;
    } else {
        return 0;
    }
    if (left < length || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    }
    return length;
}

bool utf8_valid(const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    while (length > 0) {
        size_t step = sequence_length(s, length);
        if (step == 0)
            return false;
        s += step;
        length -= step;
    }
    return true;
}
