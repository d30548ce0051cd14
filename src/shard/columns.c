/* Columns of a row as a view sees them: from the overlay, from memory, or from the file. */
#include "shard/host_int.h"
#include "shard/payload_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/view_int.h"

enum look {
    LOOK_TOLD,      /* *found, and the columns of a row that is there. */
    LOOK_ELSEWHERE, /* The row is known, and one of the columns is not kept. */
    LOOK_UNKNOWN
};

static enum look look_into(struct shard_view *view, const struct chunk *chunk, uint64_t number,
                           const struct shard_columns *columns, bool *found)
{
    uint64_t bit = UINT64_C(1) << number % CHUNK_ROWS;
    if (chunk == NULL || (chunk_known(chunk) & bit) == 0) {
        return LOOK_UNKNOWN;
    }
    *found = (chunk_present(chunk) & bit) != 0;
    bool is_told = !*found || chunk_decode(view->shard->payload, chunk, number, columns->wanted,
                                           columns->values);
    return is_told ? LOOK_TOLD : LOOK_ELSEWHERE;
}

static enum errcode decode(const struct shard_view *view, const struct shard_row *row,
                           const struct shard_columns *columns, struct err *err)
{
    const uint64_t *w = columns->wanted;
    return (w[0] | w[1] | w[2] | w[3]) == 0
               ? ERR_OK
               : shard_row_decode(view->shard->schema, row, w, columns->values, columns->arena,
                                  err);
}

static enum errcode read_file(struct shard_view *view, uint64_t number,
                              struct shard_columns *columns, bool *found, struct err *err)
{
    struct shard_row row;
    enum errcode code = view_row_of_file(view, number, &row, found, err);
    columns->rows_read++;
    return code == ERR_OK && *found ? decode(view, &row, columns, err) : code;
}

/* The overlay does not know the row. */
static enum errcode columns_of_file(struct shard_view *view, uint64_t number,
                                    struct shard_columns *columns, bool *found, struct err *err)
{
    struct payload *payload = view->shard->payload;
    const struct chunk *chunk = view_find_chunk(view, number);
    enum look look = look_into(view, chunk, number, columns, found);
    view->hits += look == LOOK_TOLD ? 1 : 0;
    view->misses += look == LOOK_TOLD ? 0 : 1;
    bool is_to_fill =
        look == LOOK_UNKNOWN &&
        (chunk == NULL ? payload_wants(payload, PAYLOAD_FOR_A_ROW) : chunk_is_worn(chunk));
    if (is_to_fill) {
        payload_fill(payload, view->read, number, &columns->rows_read);
        look = look_into(view, view_find_chunk(view, number), number, columns, found);
    }
    return look == LOOK_TOLD ? ERR_OK : read_file(view, number, columns, found, err);
}

enum errcode shard_view_columns(struct shard_view *view, uint64_t number,
                                struct shard_columns *columns, bool *found, struct err *err)
{
    CHECK_HOT(columns->wanted != NULL && columns->values != NULL);
    const struct row_version *version = view_find_version(view, number);
    if (version != NULL) {
        struct shard_row row;
        view_row_of_version(version, &row, found);
        return *found ? decode(view, &row, columns, err) : ERR_OK;
    }
    *found = false;
    if (number >= store_read_meta(view->read)->next_row) {
        return ERR_OK;
    }
    return payload_keeps(view->shard->payload, columns->wanted)
               ? columns_of_file(view, number, columns, found, err)
               : read_file(view, number, columns, found, err);
}

/* ---- keys ---- */

struct shard_keys shard_keys_begin(struct shard *shard)
{
    return (struct shard_keys){shard, payload_enter(host_payloads(shard->host))};
}

bool shard_keys_find(const struct shard_keys *keys, uint64_t number, uint64_t label,
                     struct value *out)
{
    CHECK_HOT(keys->shard != NULL && keys->place <= 1);
    static const uint64_t key_column[4] = {1};
    const struct shard *shard = keys->shard;
    if (shard_labels_are_keys(shard->schema)) {
        *out = shard_key_of_label(shard->schema, label);
        return true;
    }
    const struct chunk *chunk = payload_find(shard->payload, number, UINT64_MAX);
    return chunk != NULL && (chunk_present(chunk) >> number % CHUNK_ROWS & 1) != 0 &&
           chunk_decode(shard->payload, chunk, number, key_column, out);
}

void shard_keys_end(struct shard_keys *keys)
{
    CHECK_HOT(keys->shard != NULL && keys->place <= 1);
    payload_leave(host_payloads(keys->shard->host), keys->place);
}

/* ---- one after the other ---- */

/* The next number at or after @number whose row is in memory or unknown to it; most often that. */
static uint64_t skip_absent(const struct chunk *chunk, uint64_t number)
{
    CHECK_HOT(chunk != NULL);
    uint64_t wanted = chunk_present(chunk) | ~chunk_known(chunk);
    uint64_t left = wanted >> number % CHUNK_ROWS;
    return left != 0 ? number + (uint64_t)__builtin_ctzll(left)
                     : (number / CHUNK_ROWS + 1) * CHUNK_ROWS;
}

const struct chunk *view_make_chunk(struct shard_view *view, uint64_t number, uint64_t *rows_read)
{
    const struct chunk *chunk = view_find_chunk(view, number);
    if (chunk == NULL && number < store_read_meta(view->read)->next_row &&
        payload_wants(view->shard->payload, PAYLOAD_FOR_A_SCAN)) {
        payload_fill(view->shard->payload, view->read, number, rows_read);
        chunk = view_find_chunk(view, number);
    }
    return chunk;
}

/* The next row that the file or the overlay has, wherever its columns are. */
static enum errcode next_elsewhere(struct shard_view *view, uint64_t *number,
                                   struct shard_columns *columns, bool *found, struct err *err)
{
    struct shard_row row;
    enum errcode code = shard_view_next(view, *number, &row, found, err);
    if (code != ERR_OK || !*found) {
        return code;
    }
    *number = row.number;
    if (payload_keeps(view->shard->payload, columns->wanted)) {
        (void)view_make_chunk(view, row.number, &columns->rows_read); /* For those behind it. */
    }
    columns->rows_read++;
    return decode(view, &row, columns, err);
}

static bool is_known(const struct chunk *chunk, uint64_t number)
{
    return chunk != NULL && (chunk_known(chunk) >> number % CHUNK_ROWS & 1) != 0;
}

enum errcode shard_view_next_columns(struct shard_view *view, uint64_t *number,
                                     struct shard_columns *columns, bool *found, struct err *err)
{
    CHECK_HOT(columns->wanted != NULL && columns->values != NULL);
    bool is_kept = payload_keeps(view->shard->payload, columns->wanted);
    for (;;) {
        const struct chunk *chunk = is_kept ? view_find_chunk(view, *number) : NULL;
        if (!is_known(chunk, *number)) {
            return next_elsewhere(view, number, columns, found, err);
        }
        uint64_t at = skip_absent(chunk, *number);
        bool is_in_chunk = at / CHUNK_ROWS == *number / CHUNK_ROWS;
        *number = at;
        if (is_in_chunk && is_known(chunk, at)) {
            enum errcode code = shard_view_columns(view, at, columns, found, err);
            if (code != ERR_OK || *found) {
                return code;
            }
            ++*number; /* The overlay has deleted it. */
        }
    }
}
