/*
 * hookmoon version: its own, and those of the libraries that it runs with.
 */
#include <getopt.h>
#include <stdio.h>

#include <curl/curl.h>
#include <jansson.h>
#include <lua.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <uv.h>

#include "cli/cli.h"

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};

static int run(int argc, char **argv) {
    bool as_json = false;
    int flag;
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'j':
            as_json = true;
            break;
        case 'h':
            return cli_print_help(&cli_version);
        default:
            return cli_usage_error(&cli_version, "unknown option");
        }
    }
    const struct {
        const char *name, *version;
    } parts[] = {
        {"hookmoon", HOOKMOON_VERSION},
        {"lua", LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE},
        {"libmicrohttpd", MHD_get_version()},
        {"libuv", uv_version_string()},
        {"libcurl", curl_version_info(CURLVERSION_NOW)->version},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"jansson", jansson_version_str()},
    };
    if (as_json)
        putchar('{');
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (as_json)
            printf("%s\"%s\":\"%s\"", i > 0 ? "," : "", parts[i].name, parts[i].version);
        else
            printf("%s%s %s\n", i > 0 ? "  " : "", parts[i].name, parts[i].version);
    }
    if (as_json)
        puts("}");
    return CLI_OK;
}

const struct cli_command cli_version = {
    .name = "version",
    .summary = "show versions",
    .help = "usage: hookmoon version [--json]\n"
            "\n"
            "Prints hookmoon's version and those of the libraries that it runs with.\n",
    .run = run,
};
