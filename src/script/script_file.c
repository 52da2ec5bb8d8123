#include "script/script_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_inside(const char *folder, const char *path) {
    char real_folder[PATH_MAX], real_path[PATH_MAX];
    if (realpath(folder, real_folder) == NULL || realpath(path, real_path) == NULL)
        return false;
    size_t length = strlen(real_folder);
    return strncmp(real_path, real_folder, length) == 0 && real_path[length] == '/';
}

static bool read_all(int fd, const char *path, struct buffer *text, struct error *e) {
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return error_set(e, ERROR_INVALID, "%s is not a file", path);
    size_t start = text->length;
    for (;;) {
        ssize_t got = read(fd, buffer_reserve(text, 16384), 16384);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(e, ERROR_INVALID, "cannot read %s: %s", path, strerror(errno));
        text->length += (size_t)got;
        text->data[text->length] = '\0';
        if (got == 0)
            return true;
        if (text->length - start > SCRIPT_FILE_BYTES)
            return error_set(e, ERROR_TOO_LARGE, "%s is larger than 1 MiB", path);
    }
}

int script_file_read(const char *folder, const char *path, struct buffer *text, struct error *e) {
    char *whole = folder != NULL ? xasprintf("%s/%s", folder, path) : xstrdup(path);
    int result = -1;
    int fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        result = 0;
    else if (fd < 0)
        error_set(e, ERROR_INVALID, "cannot open %s: %s", whole, strerror(errno));
    else if (folder != NULL && !is_inside(folder, whole))
        error_set(e, ERROR_INVALID, "%s is a link that leads out of %s", whole, folder);
    else if (read_all(fd, whole, text, e))
        result = 1;
    if (fd >= 0)
        close(fd);
    free(whole);
    return result;
}
