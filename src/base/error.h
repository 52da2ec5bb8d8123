/*
 * error: what a function that can fail says about it.
 *
 * A function that can fail takes a `struct error *` as its last argument, fills it and returns
 * false, -1 or NULL. The caller owns the struct; it holds no memory. Any thread.
 */
#ifndef HOOKMOON_BASE_ERROR_H
#define HOOKMOON_BASE_ERROR_H

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID,         /* the caller's input is wrong: HTTP 400 */
    ERROR_UNAUTHENTICATED, /* who are you: 401 */
    ERROR_PERMISSION,      /* you may not: 403 */
    ERROR_NOT_FOUND,       /* 404 */
    ERROR_EXISTS,          /* 409 */
    ERROR_TOO_LARGE,       /* 413 */
    ERROR_LIMIT,           /* a rate or count limit: 429 */
    ERROR_SUBSCRIBERS,     /* the limit of subscribers: 429 */
    ERROR_PRECONDITION,    /* not in this state of things: 409 */
    ERROR_UNIMPLEMENTED,   /* 501 */
    ERROR_DEADLINE,        /* the caller's time is over: 504 */
    ERROR_INTERNAL,        /* ours, or a script's: 500 */
    ERROR_UNAVAILABLE,     /* try again later: 503 */
    ERROR_STORAGE,         /* the disk does not take it now: 503 */
};

struct error {
    enum error_code code;
    char message[512];
};

/* Fills `e` (which may be NULL) printf-style; always returns false, for `return error_set(...)`. */
bool error_set(struct error *e, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The HTTP status and the machine-readable word for a code, e.g. 404 and "not_found". */
unsigned error_http_status(enum error_code code);
const char *error_word(enum error_code code);

#endif
