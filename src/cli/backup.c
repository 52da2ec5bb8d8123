/*
 * hookmoon backup: a copy of the data directory's database, also while a gateway writes to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "config/config_load.h"

#define CHUNK_PAGES 2048
#define BUSY_MS     5000
#define KEY_BYTES   (64 * 1024)
#define CHECK_STEPS 10000 /* of SQLite's machine between looks at the signal */

static const char default_file[] = "hookmoon.lua";

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"data", required_argument, NULL, 'd'},
    {"force", no_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* A file that is written aside and gets its name once it is whole. */
struct target {
    char *path;
    char *partial;
    bool made; /* the partial file is ours to remove */
};

struct backup {
    char *database, *key; /* what is copied */
    struct target copy, key_copy;
    bool has_key;
    sqlite3 *from, *to;
    uint64_t bytes;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    interrupted = number;
}

static int is_interrupted(void *context) {
    (void)context;
    return interrupted != 0;
}

/* ---- files ---- */

static void target_init(struct target *t, char *path) {
    t->path = path;
    t->partial = xasprintf("%s.partial", path);
}

static void target_free(struct target *t) {
    /* SQLite's companions, in case that it did not come to remove them. */
    static const char *const endings[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; t->made && i < COUNT_OF(endings); i++) {
        char *path = xasprintf("%s%s", t->partial, endings[i]);
        unlink(path);
        free(path);
    }
    free(t->path);
    free(t->partial);
}

/* Makes the partial file, for its owner alone: it is as secret as the data directory. -1 and
 * reported when it cannot be. */
static int target_create(struct target *t) {
    unlink(t->partial); /* of one that was killed */
    int fd = open(t->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        cli_fail("cannot write %s: %s", t->partial, strerror(errno));
    t->made = fd >= 0;
    return fd;
}

static bool sync_path(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (!good)
        cli_fail("cannot make sure that %s is on the disk: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return good;
}

/* Gives it its name; what had it before is gone. */
static bool target_finish(struct target *t) {
    if (!sync_path(t->partial, O_RDONLY))
        return false;
    if (rename(t->partial, t->path) != 0) {
        cli_fail("cannot name the backup %s: %s", t->path, strerror(errno));
        return false;
    }
    t->made = false;
    return true;
}

static bool sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? xstrdup(".")
                   : slash == path ? xstrdup("/")
                                   : xstrndup(path, (size_t)(slash - path));
    bool good = sync_path(folder, O_RDONLY | O_DIRECTORY);
    free(folder);
    return good;
}

/* ---- the database ---- */

static int fail_reading(const struct backup *b) {
    int result = sqlite3_errcode(b->from) & 0xff;
    const char *advice = "";
    if (result == SQLITE_CANTOPEN || result == SQLITE_READONLY || result == SQLITE_PERM)
        advice = " (the user that the gateway runs as can read it; are you that one?)";
    else if (result == SQLITE_CORRUPT || result == SQLITE_NOTADB)
        advice = " (it is damaged: keep the last good backup)";
    else if (result == SQLITE_IOERR)
        return cli_fail("cannot read %s: %s (system error: %s)", b->database,
                        sqlite3_errmsg(b->from), strerror(sqlite3_system_errno(b->from)));
    return cli_fail("cannot read %s: %s%s", b->database, sqlite3_errmsg(b->from), advice);
}

static int fail_writing(const struct backup *b, int result) {
    int reason = sqlite3_system_errno(b->to);
    if (result == SQLITE_FULL)
        return cli_fail("the disk of %s is full: there is no backup", b->copy.path);
    return cli_fail("cannot write %s: %s%s%s", b->copy.partial, sqlite3_errstr(result),
                    reason != 0 ? ": " : "", reason != 0 ? strerror(reason) : "");
}

/* One read for all of it: what is committed meanwhile is not in the copy, and the copying does not
 * begin anew each time. */
static bool open_source(struct backup *b) {
    if (access(b->database, F_OK) != 0) {
        cli_fail("there is no database at %s: %s (give the gateway's data directory with --data, "
                 "or its configuration with -c)",
                 b->database, strerror(errno));
        return false;
    }
    sqlite3_open_v2(b->database, &b->from, SQLITE_OPEN_READONLY, NULL);
    sqlite3_busy_timeout(b->from, BUSY_MS);
    if (sqlite3_exec(b->from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) ==
        SQLITE_OK)
        return true;
    fail_reading(b);
    return false;
}

static bool open_copy(struct backup *b) {
    int fd = target_create(&b->copy);
    if (fd < 0)
        return false;
    close(fd);
    sqlite3_open_v2(b->copy.partial, &b->to, SQLITE_OPEN_READWRITE, NULL);
    /* It is thrown away when anything goes wrong, and synced once at the end. */
    int result = sqlite3_exec(b->to, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", NULL,
                              NULL, NULL);
    if (result != SQLITE_OK)
        fail_writing(b, result);
    return result == SQLITE_OK;
}

static bool tell_result(struct backup *b, int result) {
    if (result == SQLITE_DONE)
        return true;
    if (interrupted)
        cli_fail("interrupted; there is no backup");
    else if ((sqlite3_errcode(b->from) & 0xff) == SQLITE_CORRUPT)
        fail_reading(b);
    else
        fail_writing(b, result);
    return false;
}

static bool copy_pages(struct backup *b) {
    struct progress progress;
    int result = SQLITE_OK;
    sqlite3_backup *job = sqlite3_backup_init(b->to, "main", b->from, "main");
    if (job == NULL)
        return tell_result(b, sqlite3_errcode(b->to));
    progress_start(&progress, "copying", 0);
    while (result == SQLITE_OK && !interrupted) {
        result = sqlite3_backup_step(job, CHUNK_PAGES);
        progress.total = (uint64_t)sqlite3_backup_pagecount(job);
        progress_set(&progress, progress.total - (uint64_t)sqlite3_backup_remaining(job));
    }
    progress_hide(&progress);
    sqlite3_backup_finish(job);
    return tell_result(b, result);
}

static int read_verdict(void *context, int columns, char **values, char **names) {
    (void)columns, (void)names;
    struct buffer *verdict = context;
    if (verdict->length > 0)
        buffer_add_string(verdict, "; ");
    buffer_add_string(verdict, values[0] != NULL ? values[0] : "");
    return 0;
}

/* Also takes it out of WAL mode: so the backup is one file, which needs nothing beside it. */
static bool check_copy(struct backup *b) {
    struct buffer verdict = {0};
    sqlite3_progress_handler(b->to, CHECK_STEPS, is_interrupted, NULL);
    int result = sqlite3_exec(b->to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(b->to, "PRAGMA quick_check(3)", read_verdict, &verdict, NULL);
    bool good = result == SQLITE_OK && strcmp(buffer_string(&verdict), "ok") == 0;
    if (interrupted)
        tell_result(b, result);
    else if (!good)
        cli_fail("%s is damaged, and no backup was made; keep the last good one: %s", b->database,
                 verdict.length > 0 ? verdict.data : sqlite3_errmsg(b->to));
    buffer_free(&verdict);
    return good;
}

static bool copy_database(struct backup *b) {
    struct stat info;
    bool good = open_source(b) && open_copy(b) && copy_pages(b) && check_copy(b);
    sqlite3_close(b->from);
    sqlite3_close(b->to);
    b->from = b->to = NULL;
    if (good && stat(b->copy.partial, &info) == 0)
        b->bytes = (uint64_t)info.st_size;
    return good;
}

/* ---- the key that signs tokens ---- */

static bool read_key(const struct backup *b, struct buffer *key) {
    struct error e;
    int fd = open(b->key, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_fail("cannot open %s: %s", b->key, strerror(errno));
        return false;
    }
    bool good = cli_read_all(fd, key, KEY_BYTES, &e);
    if (!good)
        cli_fail("cannot read %s: %s", b->key, e.message);
    close(fd);
    return good;
}

static bool write_key(struct backup *b, const struct buffer *key) {
    int fd = target_create(&b->key_copy);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, buffer_string(key), key->length);
    bool good = written == (ssize_t)key->length;
    if (!good)
        cli_fail("cannot write %s: %s", b->key_copy.partial,
                 written < 0 ? strerror(errno) : "there is no room");
    close(fd);
    return good;
}

static bool copy_key(struct backup *b) {
    struct buffer key = {0};
    b->has_key = access(b->key, F_OK) == 0;
    bool good = !b->has_key || (read_key(b, &key) && write_key(b, &key));
    if (key.length > 0)
        explicit_bzero(key.data, key.length);
    buffer_free(&key);
    return good;
}

/* ---- the command ---- */

static bool may_replace(const struct target *t, bool force) {
    if (force || access(t->path, F_OK) != 0)
        return true;
    cli_fail("%s is there already; give another name, or --force to replace it", t->path);
    return false;
}

static void tell(const struct backup *b) {
    printf("%s: %llu bytes, checked\n", b->copy.path, (unsigned long long)b->bytes);
    if (b->has_key)
        printf("%s: the key that signs tokens; keep both together, and secret\n", b->key_copy.path);
}

static int backup(const char *dir, const char *file, bool force) {
    struct backup b = {.database = xasprintf("%s/hookmoon.db", dir),
                       .key = xasprintf("%s/token.key", dir)};
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    target_init(&b.copy, xstrdup(file));
    target_init(&b.key_copy, xasprintf("%s.token.key", file));
    bool good = may_replace(&b.copy, force) && may_replace(&b.key_copy, force) &&
                copy_database(&b) && copy_key(&b) && (!b.has_key || target_finish(&b.key_copy)) &&
                target_finish(&b.copy) && sync_folder_of(file);
    if (good)
        tell(&b);
    target_free(&b.copy);
    target_free(&b.key_copy);
    free(b.database);
    free(b.key);
    return good ? CLI_OK : interrupted ? 128 + interrupted : CLI_FAILED;
}

static void on_problem(void *context, const char *where, const char *field, const char *message) {
    (void)context;
    fprintf(stderr, "%s: %s%s%s\n", where, field, field[0] != '\0' ? ": " : "", message);
}

/* The data directory is --data, or the configuration's. */
static int backup_of(const char *config_file, const char *data, const char *file, bool force) {
    struct config c;
    int result = CLI_FAILED;
    config_init(&c);
    if (data == NULL && config_file == NULL && access(default_file, F_OK) == 0)
        config_file = default_file;
    if (data != NULL)
        result = backup(data, file, force);
    else if (config_file != NULL && !config_load(&c, config_file, on_problem, NULL))
        cli_fail("the configuration has mistakes; --data DIR does without it");
    else
        result = backup(c.data, file, force);
    config_free(&c);
    return result;
}

static int run(int argc, char **argv) {
    const char *config_file = NULL, *data = NULL;
    bool force = false;
    int flag;
    while ((flag = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'c':
            config_file = optarg;
            break;
        case 'd':
            data = optarg;
            break;
        case 'f':
            force = true;
            break;
        case 'h':
            return cli_print_help(&cli_backup);
        default:
            return cli_usage_error(&cli_backup, "unknown or incomplete option");
        }
    }
    if (optind + 1 != argc || argv[optind][0] == '\0')
        return cli_usage_error(&cli_backup, "expected is the FILE to write");
    return backup_of(config_file, data, argv[optind], force);
}

const struct cli_command cli_backup = {
    .name = "backup",
    .summary = "copy the data directory's database while it is in use",
    .help =
        "usage: hookmoon backup FILE [--data DIR | -c FILE] [--force]\n"
        "\n"
        "Writes what DIR/hookmoon.db holds this moment to FILE, a database of its own, and checks\n"
        "it; a gateway may run and write meanwhile. DIR/token.key goes to FILE.token.key: without\n"
        "it the tokens that were given out are void. To restore, stop the gateway and copy both\n"
        "back into an empty data directory as hookmoon.db and token.key.\n"
        "\n"
        "      --data DIR      the gateway's data directory\n"
        "  -c, --config FILE   or its configuration, where it is named (./hookmoon.lua)\n"
        "      --force         replace FILE when it is there\n",
    .run = run,
};
