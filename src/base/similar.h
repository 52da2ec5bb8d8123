/*
 * similar: "did you mean ...?".
 */
#ifndef HOOKMOON_BASE_SIMILAR_H
#define HOOKMOON_BASE_SIMILAR_H

#include "base/base.h"

/* How many letters were mistaken, left out, added or swapped; SIZE_MAX when a word is too long to
 * be one that we know (31 letters). */
size_t similar_distance(const char *word, const char *name);

#endif
