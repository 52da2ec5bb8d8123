/*
 * hookmoon publish: one message to a topic of a running gateway.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/client.h"

#define MESSAGE_BYTES (1024u * 1024 * 1024)

static const struct option long_options[] = {
    CLIENT_OPTIONS,
    {"binary", no_argument, NULL, 'b'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int publish(const struct client *c, const char *cache, const char *topic,
                   const struct buffer *value, bool binary, bool as_json) {
    struct curl_slist *headers;
    struct buffer answer = {0};
    long status = 0;
    CURL *easy = client_topic(c, cache, topic, "", &headers);
    if (easy == NULL)
        return cli_fail("libcurl does not start");
    headers = curl_slist_append(headers, binary ? "Content-Type: application/octet-stream"
                                                : "Content-Type: text/plain; charset=utf-8");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buffer_string(value));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)value->length);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, client_collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    int outcome = CLI_OK;
    if (result != CURLE_OK || status != 204)
        outcome = client_fail(c, result, status, &answer);
    else if (as_json)
        printf("{\"published\":true,\"bytes\":%zu}\n", value->length);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    buffer_free(&answer);
    return outcome;
}

static int run(int argc, char **argv) {
    struct client c;
    bool binary = false, as_json = false;
    int flag;
    client_init(&c);
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'b':
            binary = true;
            break;
        case 'j':
            as_json = true;
            break;
        case 'h':
            return cli_print_help(&cli_publish);
        default:
            if ((flag = client_option(&c, flag, optarg)) == CLI_USAGE)
                return cli_usage_error(&cli_publish, "unknown or incomplete option");
            if (flag != CLI_OK)
                return flag;
        }
    }
    if (argc - optind < 2 || argc - optind > 3)
        return cli_usage_error(&cli_publish, "expected is CACHE TOPIC [VALUE]");
    struct buffer value = {0};
    struct error e;
    int result = CLI_FAILED;
    if (argc - optind == 3)
        buffer_add_string(&value, argv[optind + 2]);
    if (argc - optind == 2 && !cli_read_all(STDIN_FILENO, &value, MESSAGE_BYTES, &e))
        cli_fail("cannot read standard input: %s", e.message);
    else
        result = publish(&c, argv[optind], argv[optind + 1], &value, binary, as_json);
    buffer_free(&value);
    return result;
}

const struct cli_command cli_publish = {
    .name = "publish",
    .summary = "publish a message to a topic",
    .help =
        "usage: hookmoon publish CACHE TOPIC [VALUE] [options]\n"
        "\n"
        "Publishes VALUE, or all of standard input, byte for byte. Write -- before a VALUE that\n"
        "begins with a dash.\n"
        "\n" CLIENT_OPTIONS_HELP "      --binary         bytes rather than text\n"
        "      --json           say on standard output that it was published\n",
    .run = run,
};
