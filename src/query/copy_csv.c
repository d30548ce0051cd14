/* CSV, read piece by piece and written field by field.  A pure part: bytes in, fields out.
 *
 *                  other
 *   at start ---------------> in field <--+     A delimiter or a newline ends the field, in every
 *      | "          "            |        |     state but "in quotes".
 *      v     <-------------------+        | other
 *   in quotes <--------- " ---------> after quote
 */
#include "query/copy_int.h"

#include <string.h>

enum csv_state {
    AT_START,
    IN_FIELD,
    IN_QUOTES,
    AFTER_QUOTE
};

enum {
    RECORD_BYTES_MAX = REPL_ENTRY_BYTES_MAX
};

void csv_init(struct csv *csv, char delimiter)
{
    *csv = (struct csv){.delimiter = delimiter, .state = AT_START, .line = 1, .next_line = 1};
    buf_init(&csv->record, MEM_STATEMENT, RECORD_BYTES_MAX);
}

void csv_fini(struct csv *csv)
{
    buf_fini(&csv->record);
}

static void begin_record(struct csv *csv)
{
    buf_reset(&csv->record);
    csv->n_fields = 0;
    csv->line = csv->next_line;
    csv->state = AT_START;
    csv->is_quoted = false;
    csv->fields[0] = (struct csv_field){0};
}

static bool end_field(struct csv *csv, bool is_record_end, struct err *err)
{
    struct csv_field *field = &csv->fields[csv->n_fields];
    field->bytes = csv->record.bytes - field->at;
    field->is_quoted = csv->is_quoted;
    csv->n_fields++;
    csv->is_quoted = false;
    csv->state = AT_START;
    if (is_record_end) {
        return true;
    }
    if (csv->n_fields == COLUMNS_MAX) {
        err_set(err, ERR_BAD_COPY_DATA, "more than %d fields", COLUMNS_MAX);
        return false;
    }
    csv->fields[csv->n_fields] = (struct csv_field){.at = csv->record.bytes};
    return true;
}

/* A carriage return before the newline is part of the line's end, not of the field. */
static void drop_return(struct csv *csv)
{
    const struct csv_field *field = &csv->fields[csv->n_fields];
    if (csv->state == IN_FIELD && csv->record.bytes > field->at &&
        csv->record.data[csv->record.bytes - 1] == '\r') {
        csv->record.bytes--;
    }
}

/* Bytes at the front that have no meaning of their own in this state. */
static size_t plain_bytes(const struct csv *csv, const char *data, size_t bytes)
{
    size_t n = 0;
    if (csv->state == IN_QUOTES) {
        const char *quote = memchr(data, '"', bytes);
        return quote != NULL ? (size_t)(quote - data) : bytes;
    }
    while (n < bytes && data[n] != csv->delimiter && data[n] != '\n' && data[n] != '"') {
        n++;
    }
    return n;
}

static void count_lines(struct csv *csv, const char *data, size_t bytes)
{
    for (const char *at = data, *end = data + bytes;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        csv->next_line++;
    }
}

/* One byte that may have a meaning.  True where it ends the record. */
static enum csv_result take_special(struct csv *csv, char c, struct err *err)
{
    if (csv->state == IN_QUOTES) {
        csv->state = AFTER_QUOTE; /* Only a quote stops plain_bytes there. */
        return CSV_MORE;
    }
    if (c == '"') {
        if (csv->state == AFTER_QUOTE) {
            buf_u8(&csv->record, '"');
        }
        csv->is_quoted = true;
        csv->state = IN_QUOTES;
        return CSV_MORE;
    }
    bool is_newline = c == '\n';
    if (is_newline) {
        csv->next_line++;
        drop_return(csv);
    }
    if (!end_field(csv, is_newline, err)) {
        return CSV_BAD;
    }
    return is_newline ? CSV_RECORD : CSV_MORE;
}

static enum csv_result refuse_record(const struct csv *csv, struct err *err)
{
    if (csv->record.is_full) {
        err_set(err, ERR_BAD_COPY_DATA, "a record is longer than %d bytes", RECORD_BYTES_MAX);
    } else {
        (void)err_no_memory(err);
    }
    return CSV_BAD;
}

enum csv_result csv_read(struct csv *csv, const char *data, size_t bytes, size_t *used,
                         struct err *err)
{
    *used = 0;
    if (csv->state == AT_START && csv->is_done) {
        begin_record(csv);
        csv->is_done = false;
    }
    while (*used < bytes) {
        size_t n = plain_bytes(csv, data + *used, bytes - *used);
        if (n > 0) {
            buf_bytes(&csv->record, data + *used, n);
            if (csv->state == IN_QUOTES) {
                count_lines(csv, data + *used, n);
            } else {
                csv->state = IN_FIELD;
            }
            *used += n;
        }
        if (*used < bytes) {
            enum csv_result result = take_special(csv, data[(*used)++], err);
            if (result != CSV_MORE) {
                csv->is_done = result == CSV_RECORD;
                return result;
            }
        }
        if (csv->record.failed) {
            return refuse_record(csv, err);
        }
    }
    return CSV_MORE;
}

enum csv_result csv_end(struct csv *csv, struct err *err)
{
    if (csv->is_done || (csv->state == AT_START && csv->n_fields == 0)) {
        return CSV_MORE; /* The last line was ended. */
    }
    if (csv->state == IN_QUOTES) {
        err_set(err, ERR_BAD_COPY_DATA, "a quoted field is not ended");
        return CSV_BAD;
    }
    drop_return(csv);
    csv->is_done = true;
    return end_field(csv, true, err) ? CSV_RECORD : CSV_BAD;
}

static bool needs_quotes(const struct buf *text, char delimiter, const char *null_text)
{
    size_t null_bytes = strlen(null_text);
    if (text->bytes == null_bytes && memcmp(text->data, null_text, null_bytes) == 0) {
        return true;
    }
    for (size_t i = 0; i < text->bytes; i++) {
        char c = (char)text->data[i];
        if (c == delimiter || c == '"' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return false;
}

void csv_write_field(struct buf *out, const struct value *value, char delimiter,
                     const char *null_text, struct buf *scratch)
{
    if (value->type == TYPE_NULL) {
        buf_bytes(out, null_text, strlen(null_text));
        return;
    }
    buf_reset(scratch);
    value_format(scratch, value);
    if (scratch->failed) {
        out->failed = true;
        return;
    }
    if (!needs_quotes(scratch, delimiter, null_text)) {
        buf_bytes(out, scratch->data, scratch->bytes);
        return;
    }
    buf_u8(out, '"');
    for (size_t i = 0; i < scratch->bytes; i++) {
        if (scratch->data[i] == '"') {
            buf_u8(out, '"');
        }
        buf_u8(out, scratch->data[i]);
    }
    buf_u8(out, '"');
}
