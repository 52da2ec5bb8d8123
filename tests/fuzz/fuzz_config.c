/*
 * Fuzzes the configuration loader with whole files: whatever the text, it ends in time, reports
 * what is printable, and says that it is good only when nothing was reported.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "config/config_load.h"

static const char name[] = "fuzz.lua";

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* env() must find nothing of this machine. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    clearenv();
    setenv("SECRET", "a secret from outside", 1);
    return 0;
}

static void check_printable(const char *text) {
    if (!utf8_valid(text, strlen(text)))
        abort();
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
    }
}

static void on_mistake(void *context, const char *where, const char *field, const char *message) {
    ++*(size_t *)context;
    if (strncmp(where, name, sizeof name - 1) != 0 || message[0] == '\0')
        abort();
    check_printable(where);
    check_printable(field);
    check_printable(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config c;
    size_t mistakes = 0;
    config_init(&c);
    if (config_load_text(&c, name, (const char *)data, size, on_mistake, &mistakes) !=
        (mistakes == 0))
        abort();
    if (mistakes == 0)
        config_complete_webhooks(&c, "http://127.0.0.1:8080");
    config_free(&c);
    return 0;
}
