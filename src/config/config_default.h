/*
 * config_default: the configuration that is used when there is no file: the demo.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_DEFAULT_H
#define HOOKMOON_CONFIG_CONFIG_DEFAULT_H

/* Wants the environment variable HOOKMOON_SECRET. */
extern const char config_default_text[];

#endif
