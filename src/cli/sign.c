/*
 * hookmoon sign: the signature that a webhook's sender would put on these bytes.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/momento_signature.h"
#include "cli/cli.h"

#define BODY_BYTES (1024u * 1024 * 1024)

static const struct option long_options[] = {
    {"secret", required_argument, NULL, 's'},
    {"secret-env", required_argument, NULL, 'e'},
    {"secret-file", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void drop_line_end(struct buffer *text) {
    if (text->length == 0 || text->data[text->length - 1] != '\n')
        return;
    text->data[--text->length] = '\0';
    if (text->length > 0 && text->data[text->length - 1] == '\r')
        text->data[--text->length] = '\0';
}

/* The file's content without the line end that editors put there. */
static char *read_secret_file(const char *path) {
    struct buffer text = {0};
    struct error e;
    FILE *file = fopen(path, "re");
    if (file == NULL || !cli_read_all(fileno(file), &text, 64 * 1024, &e)) {
        cli_fail("cannot read the secret from %s: %s", path,
                 file == NULL ? strerror(errno) : e.message);
        buffer_free(&text);
    } else if (memchr(buffer_string(&text), '\0', text.length) != NULL) {
        cli_fail("%s has a NUL byte, which no secret can have", path);
        buffer_free(&text);
    } else {
        drop_line_end(&text);
    }
    if (file != NULL)
        fclose(file);
    return text.data != NULL ? buffer_take(&text) : NULL;
}

static int sign_stdin(const char *secret) {
    struct buffer body = {0};
    struct error e;
    char hex[MOMENTO_SIGNATURE_HEX + 1];
    int result = CLI_FAILED;
    struct signer *signer = signer_new(secret, &e);
    if (signer == NULL)
        cli_fail("%s", e.message);
    else if (!cli_read_all(STDIN_FILENO, &body, BODY_BYTES, &e))
        cli_fail("cannot read standard input: %s", e.message);
    else if (!signer_sign(signer, buffer_string(&body), body.length, hex))
        cli_fail("the signature could not be computed");
    else {
        puts(hex);
        result = CLI_OK;
    }
    signer_free(signer);
    buffer_free(&body);
    return result;
}

static int run(int argc, char **argv) {
    char *secret = NULL;
    int flag, result = CLI_USAGE;
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        free(secret);
        secret = NULL;
        switch (flag) {
        case 's':
            secret = xstrdup(optarg);
            break;
        case 'e':
            if (getenv(optarg) == NULL)
                return cli_fail("the environment variable %s is not set", optarg);
            secret = xstrdup(getenv(optarg));
            break;
        case 'f':
            secret = read_secret_file(optarg);
            if (secret == NULL)
                return CLI_FAILED;
            break;
        case 'h':
            return cli_print_help(&cli_sign);
        default:
            return cli_usage_error(&cli_sign, "unknown or incomplete option");
        }
    }
    if (optind < argc)
        cli_usage_error(&cli_sign, "unexpected argument \"%s\"", argv[optind]);
    else if (secret == NULL || secret[0] == '\0')
        cli_usage_error(&cli_sign, "a secret is needed");
    else
        result = sign_stdin(secret);
    free(secret);
    return result;
}

const struct cli_command cli_sign = {
    .name = "sign",
    .summary = "print the signature of standard input",
    .help = "usage: hookmoon sign (--secret S | --secret-env NAME | --secret-file FILE) < BODY\n"
            "\n"
            "Prints the momento-signature of exactly these bytes: HMAC-SHA3-256, lower-case hex.\n"
            "\n"
            "      --secret S          the secret; other users of the machine can see it while it "
            "runs\n"
            "      --secret-env NAME   take it from an environment variable\n"
            "      --secret-file FILE  take it from a file, without its last line end\n",
    .run = run,
};
