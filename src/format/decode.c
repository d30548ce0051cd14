/* From bytes to the values of one row. */
#include "format/csv_int.h"
#include "format/format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    FBIN_HEADER_BYTES = 8,
    ID_LINE_BYTES_MAX = KEY_BYTES_MAX + 2, /* With a return, and one to tell that it is longer. */
    MASK_WORDS = COLUMNS_MAX / 64,
};

struct row_decoder {
    const struct row_format *format;
    struct row_making making;
    struct csv csv;
    bool has_seen_header;          /* csv: its line; fbin: its eight bytes. */
    uint32_t columns[COLUMNS_MAX]; /* The format's, or as the header of csv has them. */
    size_t n_columns;
    uint64_t mask[MASK_WORDS];    /* The same. */
    uint64_t row;                 /* Decoded so far. */
    uint64_t place;               /* The row that was looked at last, from 1. */
    uint64_t n_rows;              /* fbin */
    char line[ID_LINE_BYTES_MAX]; /* Of ids. */
};

static void add_bit(uint64_t mask[MASK_WORDS], uint32_t column)
{
    mask[column / 64] |= 1ULL << (column % 64);
}

static bool has_bit(const uint64_t mask[MASK_WORDS], uint32_t column)
{
    return mask[column / 64] >> (column % 64) & 1;
}

static void set_columns(struct row_decoder *d, const uint32_t *columns, size_t n)
{
    CHECK(n >= 1 && n <= COLUMNS_MAX);
    memcpy(d->columns, columns, n * sizeof(*columns));
    memset(d->mask, 0, sizeof(d->mask));
    d->n_columns = n;
    for (size_t i = 0; i < n; i++) {
        CHECK(columns[i] < d->format->schema->n_columns && !has_bit(d->mask, columns[i]));
        add_bit(d->mask, columns[i]);
    }
}

/* What the format's maker promises of it. */
static void check_format(const struct row_format *format)
{
    CHECK(format->kind >= COPY_CSV && format->kind <= COPY_BINARY);
    CHECK(format->schema != NULL && format->columns != NULL);
    CHECK(format->kind == COPY_CSV ? format->null_text != NULL : !format->has_header);
    CHECK(format->kind != COPY_FBIN || format->vector < format->n_columns);
}

struct row_decoder *row_decoder_new(const struct row_format *format,
                                    const struct row_making *making)
{
    check_format(format);
    CHECK(making->arena != NULL && making->coerce != NULL);
    struct row_decoder *d = mem_zalloc(MEM_STATEMENT, sizeof(*d));
    if (d == NULL) {
        if (making->ids != NULL) {
            fclose(making->ids);
        }
        return NULL;
    }
    d->format = format;
    d->making = *making;
    csv_init(&d->csv, format->delimiter, making->record_bytes_max);
    set_columns(d, format->columns, format->n_columns);
    return d;
}

void row_decoder_free(struct row_decoder *d)
{
    if (d != NULL) {
        csv_fini(&d->csv);
        if (d->making.ids != NULL) {
            fclose(d->making.ids);
        }
        mem_free(MEM_STATEMENT, d);
    }
}

uint64_t row_decoder_place(const struct row_decoder *d)
{
    return d->format->kind == COPY_CSV ? d->csv.line : d->place;
}

void row_decoder_name(const struct row_decoder *d, uint64_t place, char *text, size_t bytes)
{
    CHECK(bytes > 0);
    snprintf(text, bytes, "%s %" PRIu64, d->format->kind == COPY_CSV ? "line" : "row", place);
}

const uint64_t *row_decoder_columns(const struct row_decoder *d)
{
    return d->mask;
}

uint64_t row_decoder_total(const struct row_decoder *d)
{
    return d->n_rows;
}

static const struct column *column_of(const struct row_decoder *d, size_t i)
{
    return &d->format->schema->columns[d->columns[i]];
}

static enum decoded bad_column(const struct row_decoder *d, size_t i, struct err *err)
{
    err_prefix(err, "column \"%s\"", column_of(d, i)->name);
    err_column(err, column_of(d, i)->name);
    return DECODED_BAD;
}

/* ---- csv ---- */

static enum decoded take_fields(struct row_decoder *d, struct value *values, struct err *err)
{
    const struct csv *csv = &d->csv;
    size_t null_bytes = strlen(d->format->null_text);
    if (csv->n_fields != d->n_columns) {
        err_set(err, ERR_BAD_COPY_DATA, "%zu fields where %zu are needed", csv->n_fields,
                d->n_columns);
        return DECODED_BAD;
    }
    for (size_t i = 0; i < csv->n_fields; i++) {
        const struct csv_field *field = &csv->fields[i];
        const char *text = field->bytes > 0 ? (const char *)csv->record.data + field->at : "";
        if (!field->is_quoted && field->bytes == null_bytes &&
            memcmp(text, d->format->null_text, null_bytes) == 0) {
            values[d->columns[i]] = value_null();
        } else if (value_parse(column_of(d, i)->type, text, field->bytes, d->making.arena,
                               &values[d->columns[i]], err) != ERR_OK) {
            return bad_column(d, i, err);
        }
    }
    return DECODED_ROW;
}

static bool is_blank(const struct row_decoder *d)
{
    const struct csv *csv = &d->csv;
    return csv->n_fields == 1 && csv->fields[0].bytes == 0 && !csv->fields[0].is_quoted &&
           d->n_columns > 1;
}

/* The column of the statement that a name of the header means: as it is, or in lower case as VQL
 * takes a name without quotes.  False: an error. */
static bool find_column(const struct row_decoder *d, const char *text, size_t bytes,
                        uint32_t *column, struct err *err)
{
    char name[NAME_BYTES_MAX + 1] = "";
    bool is_in_schema = false;
    int found = -1;
    for (size_t i = 0; i < bytes && bytes <= NAME_BYTES_MAX; i++) {
        name[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
        name[i + 1] = '\0';
    }
    for (uint32_t i = 0; i < d->format->schema->n_columns; i++) {
        const char *there = d->format->schema->columns[i].name;
        bool is_exact = strlen(there) == bytes && memcmp(there, text, bytes) == 0;
        if (is_exact || (found < 0 && strcmp(there, name) == 0)) {
            is_in_schema = true;
            found = has_bit(d->mask, i) ? (int)i : found;
        }
    }
    if (found >= 0) {
        *column = (uint32_t)found;
        return true;
    }
    err_set(err, ERR_BAD_COPY_DATA, "the header names column \"%.*s\", which %s%s has not",
            (int)(bytes < 64 ? bytes : 64), text, is_in_schema ? "the list of columns of " : "",
            is_in_schema ? "this COPY" : d->format->schema->name);
    err_hint(err, is_in_schema ? "Add it to the list, or leave the list out."
                               : "Each name of the header is a column's. Without HEADER the first"
                                 " line is a row.");
    return false;
}

/* Columns that the header does not name are as if the statement had not given them. */
static bool take_header(struct row_decoder *d, struct err *err)
{
    const struct csv *csv = &d->csv;
    uint64_t seen[MASK_WORDS] = {0};
    uint32_t columns[COLUMNS_MAX];
    for (size_t i = 0; i < csv->n_fields; i++) {
        const struct csv_field *field = &csv->fields[i];
        const char *text = field->bytes > 0 ? (const char *)csv->record.data + field->at : "";
        if (!find_column(d, text, field->bytes, &columns[i], err)) {
            return false;
        }
        if (has_bit(seen, columns[i])) {
            err_set(err, ERR_BAD_COPY_DATA, "the header names column \"%s\" twice",
                    d->format->schema->columns[columns[i]].name);
            return false;
        }
        add_bit(seen, columns[i]);
    }
    if (!has_bit(seen, 0)) {
        err_set(err, ERR_BAD_COPY_DATA, "the header does not name the primary key \"%s\"",
                d->format->schema->columns[0].name);
        return false;
    }
    set_columns(d, columns, csv->n_fields);
    d->has_seen_header = true;
    return true;
}

static enum decoded decode_csv(struct row_decoder *d, struct row_input *in, struct value *values,
                               struct err *err)
{
    for (;;) {
        size_t n;
        enum csv_result result =
            csv_read(&d->csv, (const char *)in->data + in->used, in->bytes - in->used, &n, err);
        in->used += n;
        if (result == CSV_MORE && in->is_last) {
            result = csv_end(&d->csv, err);
            if (result == CSV_MORE) {
                return DECODED_END;
            }
        }
        if (result == CSV_MORE) {
            return DECODED_MORE;
        }
        if (result == CSV_BAD) {
            return DECODED_BAD;
        }
        bool is_header = d->format->has_header && !d->has_seen_header;
        if (is_header && !take_header(d, err)) {
            return DECODED_BAD;
        }
        if (!is_header && !is_blank(d)) {
            return take_fields(d, values, err);
        }
    }
}

/* ---- fbin ---- */

static enum decoded fbin_header(struct row_decoder *d, const uint8_t *data, struct err *err)
{
    const struct column *column = column_of(d, d->format->vector);
    CHECK(column->type == TYPE_VECTOR && column->dim > 0);
    uint32_t dim = le_get_u32(data + 4);
    d->n_rows = le_get_u32(data);
    d->has_seen_header = true;
    if (dim != column->dim) {
        err_set(err, ERR_WRONG_DIMENSION,
                "the vectors have %u dimensions, and column \"%s\" has %u", dim, column->name,
                column->dim);
        err_column(err, column->name);
        return DECODED_BAD;
    }
    return DECODED_MORE;
}

/* The next line of the file of ids, without its end; NULL: an error, or with code 0 the end. */
static const char *read_line(struct row_decoder *d, size_t *bytes, struct err *err)
{
    size_t n = 0;
    int c = EOF;
    err_clear(err);
    while (n < sizeof(d->line) && (c = getc(d->making.ids)) != EOF && c != '\n') {
        d->line[n++] = (char)c;
    }
    if (ferror(d->making.ids)) {
        err_set_errno(err, ERR_IO, errno, "could not read the file \"%s\"", d->format->ids_file);
        return NULL;
    }
    if (n == 0 && c == EOF) {
        return NULL;
    }
    if (n == sizeof(d->line)) {
        err_set(err, ERR_STRING_TOO_LONG, "an id of the file \"%s\" is longer than %d bytes",
                d->format->ids_file, KEY_BYTES_MAX);
        return NULL;
    }
    *bytes = n > 0 && d->line[n - 1] == '\r' ? n - 1 : n;
    return d->line;
}

static enum decoded read_id(struct row_decoder *d, struct value *key, struct err *err)
{
    size_t bytes;
    const char *line = read_line(d, &bytes, err);
    if (line == NULL && err->code == ERR_OK) {
        err_set(err, ERR_BAD_COPY_DATA, "the file \"%s\" has only %" PRIu64 " ids",
                d->format->ids_file, d->row);
    }
    if (line != NULL && bytes == 0) { /* In csv an empty key is NULL. */
        line = NULL;
        err_set(err, ERR_BAD_COPY_DATA, "line %" PRIu64 " of the file \"%s\" is blank", d->row + 1,
                d->format->ids_file);
        err_hint(err, "It has a key a line, in the order of the rows.");
    }
    if (line == NULL) {
        return DECODED_BAD;
    }
    enum value_type type = d->format->schema->columns[0].type;
    enum errcode code = value_parse(type, line, bytes, d->making.arena, key, err);
    return code == ERR_OK ? DECODED_ROW : DECODED_BAD;
}

static enum decoded count_id(const struct row_decoder *d, struct value *key, struct err *err)
{
    CHECK_HOT(d->row < d->n_rows);
    int64_t id = d->format->start;
    if (id > INT64_MAX - (int64_t)d->row) {
        err_set(err, ERR_NUMBER_OUT_OF_RANGE, "the ids from START on do not fit INT");
        return DECODED_BAD;
    }
    id += (int64_t)d->row;
    if (d->format->schema->columns[0].type == TYPE_INT) {
        *key = value_int(id);
        return DECODED_ROW;
    }
    const char *text = arena_printf(d->making.arena, "%" PRId64, id);
    if (text == NULL) {
        (void)err_no_memory(err);
        return DECODED_BAD;
    }
    *key = value_cstr(text);
    return DECODED_ROW;
}

static enum decoded fbin_end(struct row_decoder *d, size_t bytes, struct err *err)
{
    size_t id_bytes = 0;
    if (!d->has_seen_header) {
        err_set(err, ERR_BAD_COPY_DATA, "the data end within the header of fbin");
        return DECODED_BAD;
    }
    if (d->row < d->n_rows || bytes > 0) {
        err_set(err, ERR_BAD_COPY_DATA, "the header names %" PRIu64 " rows, and the data hold %s",
                d->n_rows, bytes > 0 && d->row == d->n_rows ? "more" : "fewer");
        return DECODED_BAD;
    }
    if (d->making.ids != NULL && (read_line(d, &id_bytes, err) != NULL || err->code != ERR_OK)) {
        if (err->code != ERR_OK || id_bytes > 0) {
            err_set(err, ERR_BAD_COPY_DATA, "the file \"%s\" has more ids than there are rows",
                    d->format->ids_file);
            return DECODED_BAD;
        }
    }
    return DECODED_END;
}

static enum decoded decode_fbin(struct row_decoder *d, struct row_input *in, struct value *values,
                                struct err *err)
{
    if (!d->has_seen_header && in->bytes >= FBIN_HEADER_BYTES) {
        if (fbin_header(d, in->data, err) == DECODED_BAD) {
            return DECODED_BAD;
        }
        in->used = FBIN_HEADER_BYTES;
    }
    uint32_t dim = column_of(d, d->format->vector)->dim;
    size_t vector_bytes = (size_t)dim * sizeof(float), left = in->bytes - in->used;
    bool is_over = d->has_seen_header && d->row == d->n_rows && left > 0;
    if (is_over || (in->is_last && (!d->has_seen_header || left < vector_bytes))) {
        return fbin_end(d, left, err);
    }
    if (!d->has_seen_header || left < vector_bytes || d->row == d->n_rows) {
        return DECODED_MORE;
    }
    const float *vector = arena_copy(d->making.arena, in->data + in->used, vector_bytes);
    if (vector == NULL) {
        (void)err_no_memory(err);
        return DECODED_BAD;
    }
    in->used += vector_bytes;
    values[d->columns[d->format->vector]] = value_vector(vector, dim);
    struct value *key = &values[0];
    return d->making.ids != NULL ? read_id(d, key, err) : count_id(d, key, err);
}

/* ---- binary ---- */

/* Bytes of the value at the front, 0 where they are not all there, SIZE_MAX where it is none. */
static size_t value_extent(const uint8_t *data, size_t bytes)
{
    if (bytes < 1) {
        return 0;
    }
    switch (data[0]) {
    case TYPE_NULL:
        return 1;
    case TYPE_BOOL:
        return 2;
    case TYPE_INT:
    case TYPE_FLOAT:
    case TYPE_TIMESTAMP:
        return 9;
    case TYPE_UUID:
        return 1 + UUID_BYTES;
    case TYPE_TEXT:
    case TYPE_JSON:
    case TYPE_VECTOR:
        break;
    default:
        return SIZE_MAX;
    }
    if (bytes < 5) {
        return 0;
    }
    size_t n = le_get_u32(data + 1);
    bool is_vector = data[0] == TYPE_VECTOR;
    if (n > (is_vector ? (size_t)VECTOR_DIM_MAX : (size_t)TEXT_BYTES_MAX)) {
        return SIZE_MAX;
    }
    return 5 + n * (is_vector ? sizeof(float) : 1);
}

/* The same of a whole row. */
static size_t row_extent(const uint8_t *data, size_t bytes, size_t n_columns)
{
    if (bytes < 2) {
        return 0;
    }
    if (le_get_u16(data) != n_columns) {
        return SIZE_MAX;
    }
    size_t at = 2;
    for (size_t i = 0; i < n_columns; i++) {
        size_t n = value_extent(data + at, bytes - at);
        if (n == 0 || n == SIZE_MAX) {
            return n;
        }
        if (n > bytes - at) {
            return 0;
        }
        at += n;
    }
    return at;
}

static enum decoded decode_binary(struct row_decoder *d, struct row_input *in, struct value *values,
                                  struct err *err)
{
    if (in->bytes == 0) {
        return in->is_last ? DECODED_END : DECODED_MORE;
    }
    size_t extent = row_extent(in->data, in->bytes, d->format->n_columns);
    if (extent == 0 && !in->is_last) {
        return DECODED_MORE;
    }
    if (extent == 0 || extent == SIZE_MAX) {
        err_set(err, ERR_BAD_COPY_DATA,
                extent == 0 ? "the data end within a row" : "no row of %zu values",
                d->format->n_columns);
        return DECODED_BAD;
    }
    struct reader r;
    reader_init(&r, in->data + 2, extent - 2);
    for (size_t i = 0; i < d->format->n_columns; i++) {
        struct value value = value_read(&r, d->making.arena);
        if (r.failed && arena_failed(d->making.arena)) {
            (void)err_no_memory(err);
            return DECODED_BAD;
        }
        if (r.failed) {
            err_set(err, ERR_BAD_COPY_DATA, "a value was not understood");
            return bad_column(d, i, err);
        }
        struct value *out = &values[d->columns[i]];
        if (d->making.coerce(&value, column_of(d, i)->type, d->making.arena, out, err) != ERR_OK ||
            value_check(out, err) != ERR_OK) {
            return bad_column(d, i, err);
        }
    }
    in->used = extent;
    return DECODED_ROW;
}

enum decoded row_decoder_next(struct row_decoder *d, struct row_input *in, struct value *values,
                              struct err *err)
{
    CHECK_HOT((in->data != NULL || in->bytes == 0) && values != NULL);
    in->used = 0;
    d->place = d->row + 1;
    for (uint32_t i = 0; i < d->format->schema->n_columns; i++) {
        values[i] = value_null();
    }
    enum decoded result = d->format->kind == COPY_CSV    ? decode_csv(d, in, values, err)
                          : d->format->kind == COPY_FBIN ? decode_fbin(d, in, values, err)
                                                         : decode_binary(d, in, values, err);
    CHECK_HOT(in->used <= in->bytes && (result != DECODED_BAD || err->code != ERR_OK));
    d->row += result == DECODED_ROW ? 1 : 0;
    return result;
}
