/*
 * base: the small things that everyone needs, in one include.
 */
#ifndef HOOKMOON_BASE_BASE_H
#define HOOKMOON_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
