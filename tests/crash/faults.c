/*
 * faults: makes a disk and a clock misbehave for one process, by LD_PRELOAD.
 *
 * The file named by HOOKMOON_FAULTS holds a `struct control`, which the tests write and this reads
 * at every call. Disk faults are those of files whose path ends in "hookmoon.db" or "-wal"; the
 * clock's offset is that of the wall clock alone.
 *
 * With HOOKMOON_SYNCED, a folder, each of these files has a copy there of the same name, which has
 * what was synced and nothing else: what a power cut leaves at least.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* faults.mjs knows this by heart: 64-bit numbers in the machine's order. */
struct control {
    _Atomic int64_t sync_errno;  /* fsync and fdatasync fail with this; 0: they do not */
    _Atomic int64_t write_errno; /* all writes do */
    _Atomic int64_t sync_ms;     /* a sync takes so much longer */
    _Atomic int64_t clock_ms;    /* the wall clock is ahead by so much */
    _Atomic int64_t syncs;       /* how many were seen, and how many of each were made to fail */
    _Atomic int64_t failed_syncs;
    _Atomic int64_t failed_writes;
};

static struct control nothing;
static struct control *control = &nothing;

/* What was done to a file since its last sync, in order. */
struct change {
    off64_t at;
    size_t length; /* 0: it was cut to `at` */
};

static struct synced {
    const char *end; /* of the file's path */
    struct change *changes;
    size_t count, room;
} synced[] = {{.end = "hookmoon.db"}, {.end = "-wal"}};

#define SYNCED (sizeof synced / sizeof synced[0])

static const char *synced_folder;
static pthread_mutex_t synced_lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_gettimeofday)(struct timeval *, void *);

static void *find(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        fprintf(stderr, "faults: the C library has no %s\n", name);
        abort();
    }
    return function;
}

/* The program may call us before its constructors run: whatever is needed first finds all. */
static void prepare(void) {
    if (real_gettimeofday != NULL)
        return;
    real_fsync = find("fsync");
    real_fdatasync = find("fdatasync");
    real_write = find("write");
    real_pwrite64 = find("pwrite64");
    real_ftruncate64 = find("ftruncate64");
    real_clock_gettime = find("clock_gettime");
    real_gettimeofday = find("gettimeofday");
}

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("HOOKMOON_FAULTS");
    prepare();
    synced_folder = getenv("HOOKMOON_SYNCED");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *mapped = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                           : MAP_FAILED;
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "faults: %s: %s\n", path, strerror(errno));
        abort();
    }
    close(fd);
    control = mapped;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), most = strlen(end);
    return length >= most && strcmp(text + length - most, end) == 0;
}

/* The path of a file of the database; NULL: it is none. */
static const char *database_path(int fd, char path[PATH_MAX]) {
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = saved;
    if (length < 0)
        return NULL;
    path[length] = '\0';
    return ends_with(path, "hookmoon.db") || ends_with(path, "-wal") ? path : NULL;
}

static int is_database(int fd) {
    char path[PATH_MAX];
    return database_path(fd, path) != NULL;
}

/* ---- what was synced ---- */

static struct synced *synced_of(const char *path) {
    for (size_t i = 0; path != NULL && i < SYNCED; i++) {
        if (ends_with(path, synced[i].end))
            return &synced[i];
    }
    return NULL;
}

static void note(int fd, off64_t at, size_t length) {
    char path[PATH_MAX];
    if (synced_folder == NULL)
        return;
    struct synced *s = synced_of(database_path(fd, path));
    if (s == NULL)
        return;
    pthread_mutex_lock(&synced_lock);
    if (s->count == s->room) {
        s->room = s->room * 2 + 64;
        s->changes = realloc(s->changes, s->room * sizeof *s->changes);
        if (s->changes == NULL)
            abort();
    }
    s->changes[s->count++] = (struct change){at, length};
    pthread_mutex_unlock(&synced_lock);
}

static void copy(int from, int to, const struct change *c) {
    char block[65536];
    for (size_t done = 0; done < c->length;) {
        size_t want = c->length - done < sizeof block ? c->length - done : sizeof block;
        ssize_t got = pread64(from, block, want, c->at + (off64_t)done);
        if (got <= 0) /* it was cut since; that is a change of its own */
            return;
        if (real_pwrite64(to, block, (size_t)got, c->at + (off64_t)done) != got)
            abort();
        done += (size_t)got;
    }
}

/* Brings the copy up to what the file was when its sync began: `count` of its changes. */
static void apply(const char *path, struct synced *s, size_t count) {
    char name[PATH_MAX + NAME_MAX];
    snprintf(name, sizeof name, "%s/%s", synced_folder, strrchr(path, '/') + 1);
    pthread_mutex_lock(&synced_lock);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (from < 0 || to < 0)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (s->changes[i].length > 0)
            copy(from, to, &s->changes[i]);
        else if (real_ftruncate64(to, s->changes[i].at) != 0)
            abort();
    }
    close(from);
    close(to);
    memmove(s->changes, s->changes + count, (s->count - count) * sizeof *s->changes);
    s->count -= count;
    pthread_mutex_unlock(&synced_lock);
}

/* ---- the calls ---- */

static int sync_with(int (*real)(int), int fd) {
    char path[PATH_MAX];
    if (database_path(fd, path) == NULL)
        return real(fd);
    atomic_fetch_add(&control->syncs, 1);
    struct synced *s = synced_folder != NULL ? synced_of(path) : NULL;
    pthread_mutex_lock(&synced_lock);
    size_t count = s != NULL ? s->count : 0;
    pthread_mutex_unlock(&synced_lock);
    int64_t ms = atomic_load(&control->sync_ms), error = atomic_load(&control->sync_errno);
    if (ms > 0)
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
    if (error == 0) {
        int result = real(fd);
        if (result == 0 && s != NULL)
            apply(path, s, count);
        return result;
    }
    atomic_fetch_add(&control->failed_syncs, 1);
    errno = (int)error;
    return -1;
}

int fsync(int fd) {
    prepare();
    return sync_with(real_fsync, fd);
}

int fdatasync(int fd) {
    prepare();
    return sync_with(real_fdatasync, fd);
}

/* 0, or what the write is to fail with. */
static int write_error(int fd) {
    int64_t error = atomic_load(&control->write_errno);
    if (error == 0 || !is_database(fd))
        return 0;
    atomic_fetch_add(&control->failed_writes, 1);
    return (int)error;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    prepare();
    int error = write_error(fd);
    if (error == 0)
        return real_write(fd, bytes, length);
    errno = error;
    return -1;
}

/* A disk that fails with EIO in the midst of a write leaves its first half behind. */
static ssize_t write_at(int fd, const void *bytes, size_t length, off64_t at) {
    prepare();
    int error = write_error(fd);
    if (error != 0 && error != EIO) {
        errno = error;
        return -1;
    }
    ssize_t written = real_pwrite64(fd, bytes, error == 0 ? length : length / 2, at);
    if (written > 0)
        note(fd, at, (size_t)written);
    if (error != 0)
        errno = error;
    return error == 0 ? written : -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return write_at(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return write_at(fd, bytes, length, at);
}

static int cut(int fd, off64_t length) {
    prepare();
    int result = real_ftruncate64(fd, length);
    if (result == 0)
        note(fd, length, 0);
    return result;
}

int ftruncate(int fd, off_t length) {
    return cut(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    return cut(fd, length);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    prepare();
    int result = real_clock_gettime(clock, t);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec += atomic_load(&control->clock_ms) / 1000;
    return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    prepare();
    int result = real_gettimeofday(t, zone);
    if (result == 0)
        t->tv_sec += atomic_load(&control->clock_ms) / 1000;
    return result;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t != NULL)
        *t = now.tv_sec;
    return now.tv_sec;
}
