/* What subscribers write into the URL and Last-Event-ID: four texts, separated by line ends. */
#include <stdlib.h>

#include "ingress/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *parts[4] = {0}, *text = xstrndup((const char *)data, size), *at = text;
    for (size_t i = 0; i < COUNT_OF(parts) && at != NULL; i++)
        parts[i] = strsep(&at, "\n");
    struct resume resume;
    struct error e = {0};
    if (!query_resume(&resume, parts[1], parts[2], parts[3], &e) && e.code != ERROR_INVALID)
        abort();
    char *first, *second;
    const char *defect = query_split_path(parts[0], &first, &second);
    if ((defect == NULL) != (first != NULL && second != NULL))
        abort();
    free(first);
    free(second);
    free(text);
    return 0;
}
