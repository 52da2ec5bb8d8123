/*
 * limits: the configuration's limits in the shape that each module takes.
 */
#ifndef HOOKMOON_INGRESS_LIMITS_H
#define HOOKMOON_INGRESS_LIMITS_H

#include "broker/broker.h"
#include "config/config.h"
#include "net/h2_server.h"
#include "net/http_server.h"
#include "script/script.h"

struct broker_limits limits_for_broker(const struct config *c);
struct store_limits limits_for_store(const struct config *c);
struct http_limits limits_for_http(const struct config *c);
struct h2_limits limits_for_h2(const struct config *c);
/* Borrows strings of `c`. */
struct script_limits limits_for_script(const struct config *c);

#endif
