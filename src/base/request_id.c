#include "base/request_id.h"

/* By hand, as each request has one. */
void request_id_write(char id[REQUEST_ID_SIZE], uint32_t prefix, uint64_t number) {
    static const char digits[] = "0123456789abcdef";
    for (int shift = 28; shift >= 0; shift -= 4)
        *id++ = digits[prefix >> shift & 15];
    *id++ = '-';
    int shift = 60;
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *id++ = digits[number >> shift & 15];
    *id = '\0';
}
