/*
 * config_quantity: sizes and durations as people write them. Any thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_QUANTITY_H
#define HOOKMOON_CONFIG_CONFIG_QUANTITY_H

#include "base/base.h"

#define CONFIG_QUANTITY_SIZE 32 /* of the text config_format_* writes */

/* "10s", "250ms", "2m", "1h", "1d" or plain milliseconds; false when it is none of these. */
bool config_parse_duration(const char *text, int64_t *ms);
/* "64k", "16m", "1g" (KiB, MiB, GiB) or plain bytes. */
bool config_parse_size(const char *text, size_t *bytes);

/* The shortest exact way to write it: 90000 becomes "90s", 65536 "64k". */
void config_format_duration(char text[static CONFIG_QUANTITY_SIZE], int64_t ms);
void config_format_size(char text[static CONFIG_QUANTITY_SIZE], size_t bytes);

#endif
