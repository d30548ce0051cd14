/* Recall: how many of the true nearest neighbours a result holds. */
#include "client/bench/bench_int.h"

#include <string.h>

static bool is_row(const vc_value *id, uint32_t row, const struct ids *ids, uint64_t start)
{
    if (id->type == VC_INT) {
        return id->integer >= 0 && (uint64_t)id->integer == start + row;
    }
    if (id->type != VC_TEXT || row >= ids->n) {
        return false;
    }
    const char *text = ids->items[row];
    return strlen(text) == id->text.bytes && memcmp(text, id->text.data, id->text.bytes) == 0;
}

double recall_of(const vc_result *result, const struct matrix *truth, uint32_t query, uint32_t k,
                 const struct ids *ids, uint64_t start)
{
    uint32_t wanted = k < truth->columns ? k : truth->columns, found = 0;
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t row = matrix_word(truth, query, i);
        for (size_t r = 0; r < vc_rows(result); r++) {
            if (is_row(vc_get_value(result, r, 0), row, ids, start)) {
                found++;
                break;
            }
        }
    }
    return (double)found / wanted;
}
