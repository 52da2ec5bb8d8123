/*
 * bundle_manifest: bundle.lua, what a bundle says about itself. Internal to script/.
 */
#ifndef HOOKMOON_SCRIPT_BUNDLE_MANIFEST_H
#define HOOKMOON_SCRIPT_BUNDLE_MANIFEST_H

#include "script/bundle.h"

/* Reads b->folder's bundle.lua into `b`; fine when there is none. `e` names the first mistake and
 * how many more there are. */
bool bundle_manifest_read(struct bundle *b, struct error *e);

#endif
