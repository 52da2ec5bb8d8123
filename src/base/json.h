/*
 * json: what the JSON library does not do.
 */
#ifndef HOOKMOON_BASE_JSON_H
#define HOOKMOON_BASE_JSON_H

#include "base/base.h"

/* True when brackets nest deeper than `max_depth`; to be asked before decoding, which recurses. */
bool json_nested_deeper(const char *text, size_t length, unsigned max_depth);

#endif
