/*
 * script_file: reading a script's files, bounded and without leaving its folder. Internal to
 * script/.
 */
#ifndef HOOKMOON_SCRIPT_SCRIPT_FILE_H
#define HOOKMOON_SCRIPT_SCRIPT_FILE_H

#include "base/base.h"

#define SCRIPT_FILE_BYTES (1024 * 1024)

/*
 * Appends the file `path`, relative to `folder` (NULL: as it is). 1: read, 0: there is no such
 * file, -1: it cannot be read, is no file, too large, or a symbolic link leads out of the folder.
 */
int script_file_read(const char *folder, const char *path, struct buffer *text, struct error *e);

#endif
