/*
 * utf8: strict validation (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
 */
#ifndef HOOKMOON_BASE_UTF8_H
#define HOOKMOON_BASE_UTF8_H

#include "base/base.h"

bool utf8_valid(const char *text, size_t length);

#endif
