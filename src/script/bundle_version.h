/*
 * bundle_version: which code a bundle is, so that a dead letter can tell on which it failed.
 */
#ifndef HOOKMOON_SCRIPT_BUNDLE_VERSION_H
#define HOOKMOON_SCRIPT_BUNDLE_VERSION_H

#include "script/bundle.h"

/* Adds to b->version, which is the manifest's or "", a digest of all its Lua files as they are now:
 * "1.2.0+5d0e4b1f93a2c677" or "5d0e4b1f93a2c677". */
void bundle_version_complete(struct bundle *b);

#endif
