/*
 * figures: the metrics that belong to no worker: of the broker, the store and the inbox.
 */
#ifndef HOOKMOON_GATEWAY_FIGURES_H
#define HOOKMOON_GATEWAY_FIGURES_H

#include "ingress/shared.h"

/* `s` outlives its metrics. */
void figures_register(struct ingress_shared *s);

#endif
