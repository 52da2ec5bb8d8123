/* What every unit test includes: cmocka wants these headers before its own. */
#ifndef HOOKMOON_TESTS_UNIT_TEST_H
#define HOOKMOON_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/* A literal where a struct of ours owns its strings; nobody writes to it. */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

#endif
