/*
 * hookmoon subscribe: the items of a topic as they come, over an event stream that resumes itself.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/rand.h>

#include "cli/client.h"
#include "cli/sse.h"

#define SILENCE_S     60L /* heartbeats come more often: after this the connection is dead */
#define FIRST_WAIT_MS 100
#define MAX_WAIT_MS   5000
#define STABLE_NS     5000000000u /* a stream that lasted so long was a good one */

static const struct option long_options[] = {
    {"url", required_argument, NULL, 'u'},     {"key", required_argument, NULL, 'k'},
    {"key-env", required_argument, NULL, 'e'}, {"from", required_argument, NULL, 'f'},
    {"page", required_argument, NULL, 'p'},    {"count", required_argument, NULL, 'n'},
    {"timeout", required_argument, NULL, 't'}, {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},          {0},
};

struct subscriber {
    struct client client;
    const char *cache, *topic;
    const char *from, *page;
    bool as_json;
    uint64_t count; /* stop after so many; 0: never */
    uint64_t received;
    uint64_t deadline_ns; /* 0: none */
    bool timed_out;
    bool output_gone;
    long status;
    bool is_stream; /* the answer is an event stream */
    CURL *easy;
    struct sse sse;
    struct buffer refusal; /* the body of an answer that is no stream */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    interrupted = number;
}

static bool is_over(const struct subscriber *s) {
    return interrupted || s->timed_out || s->output_gone ||
           (s->count > 0 && s->received >= s->count);
}

/* ---- items ---- */

static void print_value(json_t *value) {
    const char *text = json_string_value(json_object_get(value, "text"));
    const char *binary = json_string_value(json_object_get(value, "binary"));
    if (text != NULL) {
        fwrite(text, 1, json_string_length(json_object_get(value, "text")), stdout);
        putchar('\n');
    } else if (binary != NULL) {
        struct buffer bytes = {0};
        if (buffer_add_from_base64(&bytes, binary, strlen(binary)))
            fwrite(buffer_string(&bytes), 1, bytes.length, stdout);
        buffer_free(&bytes);
    }
}

static void on_event(void *context, const char *name, const char *data, size_t length) {
    struct subscriber *s = context;
    (void)name;
    json_t *json = json_loadb(data, length, JSON_ALLOW_NUL, NULL);
    json_t *item = json_object_get(json, "item");
    json_t *gap = json_object_get(json, "discontinuity");
    if (is_over(s) || (item == NULL && gap == NULL)) {
        json_decref(json);
        return;
    }
    if (s->as_json)
        printf("%.*s\n", (int)length, data);
    else if (item != NULL)
        print_value(json_object_get(item, "value"));
    if (gap != NULL)
        fprintf(stderr, "hookmoon: items were missed: after %lld comes %lld\n",
                (long long)json_integer_value(json_object_get(gap, "last_topic_sequence")),
                (long long)json_integer_value(json_object_get(gap, "new_topic_sequence")));
    if (item != NULL)
        s->received++;
    json_decref(json);
    if (fflush(stdout) != 0 || ferror(stdout))
        s->output_gone = true;
}

static void look_at_answer(struct subscriber *s) {
    const char *type = NULL;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &s->status);
    curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
    s->is_stream = s->status == 200 && type != NULL && strcasestr(type, "text/event-stream");
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context) {
    struct subscriber *s = context;
    if (s->status == 0)
        look_at_answer(s);
    if (!s->is_stream)
        return client_collect(bytes, size, count, &s->refusal);
    sse_feed(&s->sse, bytes, size * count);
    return is_over(s) ? 0 : size * count;
}

/* Called about once a second, too. */
static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    struct subscriber *s = context;
    if (s->deadline_ns != 0 && clock_mono_ns() >= s->deadline_ns)
        s->timed_out = true;
    return is_over(s) ? 1 : 0;
}

/* ---- the connection ---- */

static CURLcode connect_once(struct subscriber *s) {
    struct curl_slist *headers;
    struct buffer query = {0};
    /* Once there is an id it says where to go on, and the query is not looked at. */
    if (s->from != NULL)
        buffer_add_format(&query, "?sequence_number=%s", s->from);
    if (s->page != NULL)
        buffer_add_format(&query, "%csequence_page=%s", query.length > 0 ? '&' : '?', s->page);
    s->status = 0;
    s->is_stream = false;
    buffer_clear(&s->refusal);
    sse_restart(&s->sse);
    s->easy = client_topic(&s->client, s->cache, s->topic, buffer_string(&query), &headers);
    buffer_free(&query);
    if (s->easy == NULL)
        return CURLE_FAILED_INIT;
    headers = curl_slist_append(headers, "Accept: text/event-stream");
    if (s->sse.id.length > 0) {
        char *header = xasprintf("Last-Event-ID: %s", s->sse.id.data);
        headers = curl_slist_append(headers, header);
        free(header);
    }
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(s->easy, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(s->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(s->easy, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(s->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(s->easy, CURLOPT_XFERINFODATA, s);
    CURLcode result = curl_easy_perform(s->easy);
    look_at_answer(s);
    curl_easy_cleanup(s->easy);
    curl_slist_free_all(headers);
    return result;
}

/* Whether coming again would end in the same way. */
static bool is_final(const struct subscriber *s, CURLcode result) {
    switch (result) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
        return true;
    default:
        return s->status != 0 && !s->is_stream && s->status < 500 && s->status != 408 &&
               s->status != 429;
    }
}

/* Once for each time that it is away, however often it is tried. */
static void tell_retry(const struct subscriber *s, CURLcode result) {
    if (s->is_stream) {
        fprintf(stderr, "hookmoon: the connection to %s was lost; trying again\n", s->client.url);
        return;
    }
    char *reason = client_reason(&s->client, result, s->status, &s->refusal);
    fprintf(stderr, "hookmoon: %s; trying again\n", reason);
    free(reason);
}

static void wait_ms(const struct subscriber *s, unsigned ms) {
    for (unsigned waited = 0; waited < ms && !is_over(s); waited += 50) {
        usleep(50000);
        if (s->deadline_ns != 0 && clock_mono_ns() >= s->deadline_ns)
            return;
    }
}

static int outcome_of(const struct subscriber *s) {
    if (s->output_gone)
        return CLI_FAILED;
    if (s->timed_out && s->count > 0 && s->received < s->count)
        return cli_fail("timed out after %" PRIu64 " of %" PRIu64 " items", s->received, s->count);
    return interrupted ? 128 + interrupted : CLI_OK;
}

static int subscribe(struct subscriber *s) {
    unsigned wait = FIRST_WAIT_MS;
    bool told = false;
    while (!is_over(s)) {
        uint64_t before = s->received, started = clock_mono_ns();
        CURLcode result = connect_once(s);
        if (is_over(s))
            break;
        if (is_final(s, result))
            return client_fail(&s->client, result, s->status, &s->refusal);
        if (s->received > before || (s->is_stream && clock_mono_ns() - started > STABLE_NS)) {
            wait = FIRST_WAIT_MS;
            told = false;
        }
        if (!told)
            tell_retry(s, result);
        told = true;
        unsigned char jitter;
        RAND_bytes(&jitter, 1);
        wait_ms(s, wait / 2 + wait * jitter / 510);
        wait = wait * 2 < MAX_WAIT_MS ? wait * 2 : MAX_WAIT_MS;
        if (s->deadline_ns != 0 && clock_mono_ns() >= s->deadline_ns)
            s->timed_out = true;
    }
    return outcome_of(s);
}

static int bad_number(const char *option, const char *value) {
    return cli_usage_error(&cli_subscribe, "%s %s: a whole number is expected", option, value);
}

static int run(int argc, char **argv) {
    struct subscriber s = {0};
    uint64_t number;
    int flag;
    client_init(&s.client);
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'f':
            if (!cli_parse_number(s.from = optarg, UINT64_MAX, &number))
                return bad_number("--from", optarg);
            break;
        case 'p':
            if (!cli_parse_number(s.page = optarg, UINT64_MAX, &number))
                return bad_number("--page", optarg);
            break;
        case 'n':
            if (!cli_parse_number(optarg, UINT64_MAX, &s.count) || s.count == 0)
                return bad_number("--count", optarg);
            break;
        case 't':
            if (!cli_parse_number(optarg, 1000000000, &number) || number == 0)
                return bad_number("--timeout", optarg);
            s.deadline_ns = clock_mono_ns() + number * 1000000000u;
            break;
        case 'j':
            s.as_json = true;
            break;
        case 'h':
            return cli_print_help(&cli_subscribe);
        default:
            if ((flag = client_option(&s.client, flag, optarg)) == CLI_USAGE)
                return cli_usage_error(&cli_subscribe, "unknown or incomplete option");
            if (flag != CLI_OK)
                return flag;
        }
    }
    if (argc - optind != 2)
        return cli_usage_error(&cli_subscribe, "expected is CACHE TOPIC");
    s.cache = argv[optind];
    s.topic = argv[optind + 1];
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    sse_init(&s.sse, on_event, &s);
    int result = subscribe(&s);
    sse_free(&s.sse);
    buffer_free(&s.refusal);
    return result;
}

const struct cli_command cli_subscribe = {
    .name = "subscribe",
    .summary = "print a topic's items as they come",
    .help =
        "usage: hookmoon subscribe CACHE TOPIC [options]\n"
        "\n"
        "Prints each item's text and a line end (bytes as they are) and resumes by itself, "
        "without\n"
        "loss, after a lost connection. What was missed all the same is told on standard error.\n"
        "\n" CLIENT_OPTIONS_HELP
        "      --from N         begin with this sequence number (1: all that is retained)\n"
        "      --page P         ... of this sequence page\n"
        "      --count N        exit after N items\n"
        "      --timeout S      exit after S seconds; 1 if --count is not reached by then\n"
        "      --json           one JSON object a line: {\"item\":...} or "
        "{\"discontinuity\":...}\n",
    .run = run,
};
