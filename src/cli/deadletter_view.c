#include "cli/deadletter_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"

/* ---- what comes from outside, on a terminal ---- */

/* Without control characters, which could move the cursor or colour what follows. */
static char *one_line(const char *text) {
    char *line = xstrndup(text, strcspn(text, "\r\n"));
    for (unsigned char *at = (unsigned char *)line; *at != '\0'; at++) {
        if (*at == '\t')
            *at = ' ';
        else if (*at < ' ' || *at == 127 || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
            *at = '?';
    }
    return line;
}

/* The same for each line of a text. */
static void print_lines(const char *indent, const char *text) {
    while (*text != '\0') {
        char *line = one_line(text);
        printf("%s%s\n", indent, line);
        free(line);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
}

static json_int_t number_of(const json_t *letter, const char *name) {
    return json_integer_value(json_object_get(letter, name));
}

/* ---- many ---- */

enum { COLUMNS = 6 };

static const char *const headings[COLUMNS] = {"ID", "KIND", "OF", "ITEM", "ATTEMPTS", "UPDATED"};

/* The caller frees each. The error follows in a column of its own. */
static void fill_row(const json_t *letter, char *cells[COLUMNS]) {
    bool delivery = strcmp(client_member(letter, "kind"), "delivery") == 0;
    cells[0] = xasprintf("%" JSON_INTEGER_FORMAT, number_of(letter, "id"));
    cells[1] = one_line(client_member(letter, "kind"));
    cells[2] = one_line(client_member(letter, delivery ? "webhook" : "hook"));
    char *item =
        xasprintf("%s/%s:%" JSON_INTEGER_FORMAT, client_member(letter, "cache"),
                  client_member(letter, "topic"), number_of(letter, "topic_sequence_number"));
    cells[3] = one_line(item);
    free(item);
    cells[4] = xasprintf("%" JSON_INTEGER_FORMAT, number_of(letter, "attempts"));
    cells[5] = one_line(client_member(letter, "updated"));
}

/* In characters, as far as a terminal counts them. */
static int width_of(const char *text) {
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(const char *const cells[COLUMNS], const int widths[COLUMNS],
                      const char *last) {
    for (size_t i = 0; i < COLUMNS; i++)
        printf("%s%*s  ", cells[i], widths[i] - width_of(cells[i]), "");
    printf("%s\n", last);
}

void deadletter_print_table(const json_t *all) {
    const json_t *letter;
    int widths[COLUMNS];
    char *cells[COLUMNS];
    size_t at;
    for (size_t i = 0; i < COLUMNS; i++)
        widths[i] = width_of(headings[i]);
    json_array_foreach(all, at, letter) {
        fill_row(letter, cells);
        for (size_t i = 0; i < COLUMNS; i++) {
            widths[i] = width_of(cells[i]) > widths[i] ? width_of(cells[i]) : widths[i];
            free(cells[i]);
        }
    }
    if (json_array_size(all) > 0)
        print_row(headings, widths, "ERROR");
    json_array_foreach(all, at, letter) {
        char *error = one_line(client_member(letter, "error"));
        fill_row(letter, cells);
        print_row((const char *const *)cells, widths, error);
        for (size_t i = 0; i < COLUMNS; i++)
            free(cells[i]);
        free(error);
    }
}

/* ---- one ---- */

static void print_field(const char *name, const char *value) {
    char *line = one_line(value);
    if (line[0] != '\0')
        printf("  %-10s%s\n", name, line);
    free(line);
}

static void print_headers(json_t *headers) {
    const char *name;
    json_t *value;
    if (json_object_size(headers) == 0)
        return;
    printf("\nheaders:\n");
    json_object_foreach(headers, name, value) {
        char *text =
            xasprintf("%s: %s", name, json_is_string(value) ? json_string_value(value) : "");
        print_lines("  ", text);
        free(text);
    }
}

void deadletter_print(json_t *letter) {
    bool delivery = strcmp(client_member(letter, "kind"), "delivery") == 0;
    char *item =
        xasprintf("%s/%s, number %" JSON_INTEGER_FORMAT, client_member(letter, "cache"),
                  client_member(letter, "topic"), number_of(letter, "topic_sequence_number"));
    char *attempts = xasprintf("%" JSON_INTEGER_FORMAT, number_of(letter, "attempts"));
    printf("dead letter %" JSON_INTEGER_FORMAT ": %s\n", number_of(letter, "id"),
           delivery ? "a delivery that the destination did not take"
                    : "an event that the script failed on");
    print_field("hook", client_member(letter, "hook"));
    print_field("bundle", client_member(letter, "bundle_version"));
    print_field("webhook", client_member(letter, "webhook"));
    print_field("url", client_member(letter, "url"));
    print_field("item", item);
    print_field("attempts", attempts);
    print_field("created", client_member(letter, "created"));
    print_field("updated", client_member(letter, "updated"));
    print_field("error", client_member(letter, "error"));
    free(item);
    free(attempts);
    if (client_member(letter, "traceback")[0] != '\0') {
        printf("\ntraceback:\n");
        print_lines("  ", client_member(letter, "traceback"));
    }
    print_headers(json_object_get(letter, "headers"));
    if (client_member(letter, "event")[0] != '\0') {
        printf("\nevent:\n");
        print_lines("  ", client_member(letter, "event"));
    }
}
