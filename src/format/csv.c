/* CSV, read piece by piece and written field by field.  A pure part: bytes in, fields out.
 *
 *                  other
 *   at start ---------------> in field <--+     A delimiter or a newline ends the field, in every
 *      | "                       |        |     state but "in quotes"; a return before the newline
 *      v                         +--------+     belongs to it.
 *   in quotes <------ " -----> after quote           other
 *
 * A quote within a field that did not begin with one, anything else behind the closing quote, and a
 * return in the middle of a line are errors: what was meant cannot be told, and a stray quote would
 * swallow the lines behind it.  A byte order mark at the very beginning is skipped. */
#include "format/csv_int.h"
#include "format/format.h"

#include <string.h>

enum csv_state {
    AT_START,
    IN_FIELD,
    IN_QUOTES,
    AFTER_QUOTE,
    AFTER_RETURN /* Outside of quotes: a newline must follow. */
};

static const char byte_order_mark[] = "\xef\xbb\xbf";

enum {
    MARK_BYTES = sizeof(byte_order_mark) - 1
};

void csv_init(struct csv *csv, char delimiter, size_t record_bytes_max)
{
    CHECK(delimiter != '"' && delimiter != '\n' && delimiter != '\r');
    CHECK(record_bytes_max > 0);
    *csv = (struct csv){.delimiter = delimiter, .state = AT_START, .line = 1, .next_line = 1};
    buf_init(&csv->record, MEM_STATEMENT, record_bytes_max);
    csv->is_special[(unsigned char)delimiter] = true;
    csv->is_special['"'] = csv->is_special['\n'] = csv->is_special['\r'] = true;
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
    CHECK_HOT(csv->n_fields < COLUMNS_MAX);
    struct csv_field *field = &csv->fields[csv->n_fields];
    CHECK_HOT(field->at <= csv->record.bytes);
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

/* Bytes at the front that have no meaning of their own in this state. */
static size_t plain_bytes(const struct csv *csv, const char *data, size_t bytes)
{
    size_t n = 0;
    if (csv->state == IN_QUOTES) {
        const char *quote = memchr(data, '"', bytes);
        return quote != NULL ? (size_t)(quote - data) : bytes;
    }
    while (n < bytes && !csv->is_special[(unsigned char)data[n]]) {
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

static enum csv_result refuse(struct err *err, const char *what, const char *hint)
{
    err_set(err, ERR_BAD_COPY_DATA, "%s", what);
    err_hint(err, "%s", hint);
    return CSV_BAD;
}

static enum csv_result take_quote(struct csv *csv, struct err *err)
{
    switch ((enum csv_state)csv->state) {
    case IN_QUOTES:
        csv->state = AFTER_QUOTE;
        return CSV_MORE;
    case AFTER_QUOTE:
        buf_u8(&csv->record, '"');
        csv->state = IN_QUOTES;
        return CSV_MORE;
    case AT_START:
        csv->is_quoted = true;
        csv->state = IN_QUOTES;
        return CSV_MORE;
    default:
        return refuse(err, "a quote in the middle of a field that does not begin with one",
                      "Put such a field in quotes and write its own quotes twice.");
    }
}

/* Bytes that have no meaning of their own, behind what may have no such bytes behind it. */
static enum csv_result take_plain(struct csv *csv, const char *data, size_t n, struct err *err)
{
    if (csv->state == AFTER_QUOTE) {
        return refuse(err, "text between a closing quote and the end of the field",
                      "A quote within a quoted field is written twice.");
    }
    if (csv->state == AFTER_RETURN) {
        return refuse(err, "a carriage return in the middle of a line",
                      "Lines end in LF or CR LF; put a field that holds a CR in quotes.");
    }
    buf_bytes(&csv->record, data, n);
    if (csv->state == IN_QUOTES) {
        count_lines(csv, data, n);
    } else {
        csv->state = IN_FIELD;
    }
    return CSV_MORE;
}

/* One byte that may have a meaning.  RECORD where it ends the record. */
static enum csv_result take_special(struct csv *csv, char c, struct err *err)
{
    if (c != '\n' && csv->state == AFTER_RETURN) {
        return take_plain(csv, &c, 1, err);
    }
    if (c == '"') {
        return take_quote(csv, err);
    }
    if (c == '\r') {
        csv->state = AFTER_RETURN;
        return CSV_MORE;
    }
    bool is_newline = c == '\n';
    csv->next_line += is_newline ? 1 : 0;
    if (!end_field(csv, is_newline, err)) {
        return CSV_BAD;
    }
    return is_newline ? CSV_RECORD : CSV_MORE;
}

static enum csv_result refuse_record(const struct csv *csv, struct err *err)
{
    if (csv->record.is_full) {
        err_set(err, ERR_BAD_COPY_DATA, "a record is longer than %zu bytes", csv->record.bytes_max);
    } else {
        (void)err_no_memory(err);
    }
    return CSV_BAD;
}

/* At the very beginning: skips what may become a byte order mark; bytes of one that is none after
 * all are data.  Returns how many of @data it took. */
static size_t skip_mark(struct csv *csv, const char *data, size_t bytes)
{
    size_t n = 0;
    while (csv->n_mark < MARK_BYTES && n < bytes && data[n] == byte_order_mark[csv->n_mark]) {
        csv->n_mark++;
        n++;
    }
    if (csv->n_mark < MARK_BYTES && n < bytes) {
        if (csv->n_mark > 0) {
            buf_bytes(&csv->record, byte_order_mark, csv->n_mark);
            csv->state = IN_FIELD;
        }
        csv->n_mark = MARK_BYTES;
    }
    return n;
}

/* UTF-8 has no byte of these values; files of other systems may begin with both. */
static bool is_utf16(const struct csv *csv, const char *data, size_t bytes)
{
    return csv->n_mark == 0 && bytes > 0 && (data[0] == '\xff' || data[0] == '\xfe');
}

enum csv_result csv_read(struct csv *csv, const char *data, size_t bytes, size_t *used,
                         struct err *err)
{
    CHECK_HOT(data != NULL || bytes == 0);
    *used = 0;
    if (is_utf16(csv, data, bytes)) {
        return refuse(err, "the data begin as UTF-16 does", "Save the file as UTF-8.");
    }
    *used = skip_mark(csv, data, bytes);
    if (csv->state == AT_START && csv->is_done) {
        begin_record(csv);
        csv->is_done = false;
    }
    while (*used < bytes) {
        enum csv_result result = CSV_MORE;
        size_t n = plain_bytes(csv, data + *used, bytes - *used);
        if (n > 0) {
            result = take_plain(csv, data + *used, n, err);
            *used += n;
        }
        if (result == CSV_MORE && *used < bytes) {
            result = take_special(csv, data[(*used)++], err);
        }
        if (result != CSV_MORE) {
            csv->is_done = result == CSV_RECORD;
            return result;
        }
        if (csv->record.failed) {
            return refuse_record(csv, err);
        }
    }
    return CSV_MORE;
}

enum csv_result csv_end(struct csv *csv, struct err *err)
{
    if (csv->n_mark > 0 && csv->n_mark < MARK_BYTES) { /* All that there was. */
        buf_bytes(&csv->record, byte_order_mark, csv->n_mark);
        csv->state = IN_FIELD;
    }
    if (csv->is_done || (csv->state == AT_START && csv->n_fields == 0)) {
        return CSV_MORE; /* The last line was ended. */
    }
    if (csv->state == IN_QUOTES) {
        return refuse(err, "a quoted field is not ended",
                      "It begins on this line, and no quote closes it.");
    }
    csv->is_done = true;
    return end_field(csv, true, err) ? CSV_RECORD : CSV_BAD;
}

/* What would be read back as something else: NULL, a mark, the end of data typed into a shell. */
static bool is_taken_for_another(const char *text, size_t bytes, const char *null_text)
{
    size_t null_bytes = strlen(null_text);
    return (bytes == null_bytes && memcmp(text, null_text, null_bytes) == 0) ||
           (bytes >= MARK_BYTES && memcmp(text, byte_order_mark, MARK_BYTES) == 0) ||
           (bytes == 2 && memcmp(text, "\\.", 2) == 0);
}

static bool needs_quotes(const char *text, size_t bytes, char delimiter, const char *null_text)
{
    if (bytes == 0) {
        return null_text[0] == '\0';
    }
    if (is_taken_for_another(text, bytes, null_text)) {
        return true;
    }
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (c == delimiter || c == '"' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return false;
}

void csv_write_text(struct buf *out, const char *text, size_t bytes, char delimiter,
                    const char *null_text)
{
    CHECK((text != NULL || bytes == 0) && null_text != NULL);
    CHECK(delimiter != '"' && delimiter != '\n' && delimiter != '\r');
    if (!needs_quotes(text, bytes, delimiter, null_text)) {
        buf_bytes(out, text, bytes);
        return;
    }
    buf_u8(out, '"');
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"') {
            buf_u8(out, '"');
        }
        buf_u8(out, (uint8_t)text[i]);
    }
    buf_u8(out, '"');
}

void csv_write_field(struct buf *out, const struct value *value, char delimiter,
                     const char *null_text, struct buf *scratch)
{
    CHECK_HOT(null_text != NULL && scratch != out);
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
    csv_write_text(out, (const char *)scratch->data, scratch->bytes, delimiter, null_text);
}
