/*
 * request_id: what a request is called in the log, in answers and in what it causes. Any thread.
 */
#ifndef HOOKMOON_BASE_REQUEST_ID_H
#define HOOKMOON_BASE_REQUEST_ID_H

#include <stdint.h>

#define REQUEST_ID_SIZE 28 /* 8 digits, '-', up to 16 digits, NUL, rounded up */

/* "prefix-number" in hexadecimal, the prefix with eight digits. */
void request_id_write(char id[REQUEST_ID_SIZE], uint32_t prefix, uint64_t number);

#endif
