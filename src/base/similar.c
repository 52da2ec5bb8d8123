#include "base/similar.h"

#define LONGEST 31

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t similar_distance(const char *word, const char *name) {
    size_t d[LONGEST + 1][LONGEST + 1];
    size_t rows = strlen(word), columns = strlen(name);
    if (rows > LONGEST || columns > LONGEST)
        return SIZE_MAX;
    for (size_t i = 0; i <= rows; i++) {
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(d[i - 1][j - 1] + (word[i - 1] != name[j - 1]),
                            least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && word[i - 1] == name[j - 2] && word[i - 2] == name[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[rows][columns];
}
