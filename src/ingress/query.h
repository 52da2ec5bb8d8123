/*
 * query: what a subscriber or publisher writes into the URL and headers of the topics API, decoded.
 */
#ifndef HOOKMOON_INGRESS_QUERY_H
#define HOOKMOON_INGRESS_QUERY_H

#include "base/base.h"
#include "broker/broker.h"

/* Percent-decodes ('+' stays). NULL on success, else what is wrong. The caller frees either way. */
const char *query_decode(const char *text, size_t length, char **out);

/*
 * Splits "{first}/{second}" and percent-decodes both ('+' stays). NULL on success, else what is
 * wrong. The caller frees both.
 */
const char *query_split_path(const char *path, char **first, char **second);

/*
 * Where to start, from ?sequence_number= and ?sequence_page= (NULL: not given) or an event stream's
 * Last-Event-ID "page:number", the last that was received, which takes precedence. ERROR_INVALID.
 */
bool query_resume(struct resume *resume, const char *number, const char *page,
                  const char *last_event_id, struct error *e);

#endif
