/*
 * schema: the tables of the data directory's database, and how an older one becomes a newer one.
 */
#ifndef HOOKMOON_STORE_SCHEMA_H
#define HOOKMOON_STORE_SCHEMA_H

#include "store/database.h"

/* Sets the connection up for writing and brings the tables to this program's version, each step in
 * a transaction of its own. ERROR_STORAGE; also when a newer program wrote the file. */
bool schema_prepare(struct database *db, struct error *e);
/* For a connection that only reads: checks the version. */
bool schema_check(struct database *db, struct error *e);

#endif
