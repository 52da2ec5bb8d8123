/*
 * hookmoon cache: the caches of a running gateway.
 */
#include <getopt.h>
#include <stdio.h>

#include "cli/client.h"

static const struct option long_options[] = {
    CLIENT_OPTIONS,
    {"memory", no_argument, NULL, 'm'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int list(const struct client *c, bool as_json) {
    static const char *const parts[] = {"caches", NULL};
    json_t *answer, *cache;
    size_t i;
    int result = client_admin(c, "GET", parts, NULL, &answer);
    if (result == CLI_OK && as_json)
        client_print(answer);
    else
        json_array_foreach(json_object_get(answer, "caches"), i, cache)
            printf("%s\t%s\n", client_member(cache, "name"), client_member(cache, "durability"));
    json_decref(answer);
    return result;
}

static int create(const struct client *c, const char *name, bool memory) {
    static const char *const parts[] = {"caches", NULL};
    json_t *answer,
        *body = json_pack("{s:s, s:s}", "name", name, "durability", memory ? "memory" : "disk");
    if (body == NULL)
        return cli_fail("the name is not UTF-8");
    int result = client_admin(c, "POST", parts, body, &answer);
    json_decref(answer);
    return result;
}

static int on_one(const struct client *c, const char *word, const char *name) {
    const char *const parts[] = {"caches", name, strcmp(word, "flush") == 0 ? "flush" : NULL, NULL};
    json_t *answer;
    int result = client_admin(c, parts[2] != NULL ? "POST" : "DELETE", parts, NULL, &answer);
    json_decref(answer);
    return result;
}

static int run(int argc, char **argv) {
    struct client c;
    bool as_json = false, memory = false;
    int flag;
    client_init(&c);
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (flag == 'h')
            return cli_print_help(&cli_cache);
        int taken = client_option(&c, flag, optarg);
        if (flag == 'j')
            as_json = true;
        else if (flag == 'm')
            memory = true;
        else if (taken == CLI_USAGE)
            return cli_usage_error(&cli_cache, "unknown or incomplete option");
        else if (taken != CLI_OK)
            return taken;
    }
    int count = argc - optind;
    const char *word = count > 0 ? argv[optind] : "", *name = count > 1 ? argv[optind + 1] : NULL;
    if (strcmp(word, "list") == 0 && count == 1)
        return list(&c, as_json);
    if (strcmp(word, "create") == 0 && count == 2)
        return create(&c, name, memory);
    if ((strcmp(word, "delete") == 0 || strcmp(word, "flush") == 0) && count == 2)
        return on_one(&c, word, name);
    return cli_usage_error(&cli_cache, "expected is list, create NAME, delete NAME or flush NAME");
}

const struct cli_command cli_cache = {
    .name = "cache",
    .summary = "list, create, delete and flush caches",
    .help = "usage: hookmoon cache list [options]\n"
            "       hookmoon cache (create | delete | flush) NAME [options]\n"
            "\n"
            "Administers the caches of a running gateway. What is created stays after a restart.\n"
            "Deleting ends the subscriptions of a cache; flushing drops what its topics retain.\n"
            "The list is name and durability.\n"
            "\n"
            "      --memory         create: keep its items in memory, not on the "
            "disk\n" CLIENT_OPTIONS_HELP "      --json           the list as JSON\n",
    .run = run,
};
