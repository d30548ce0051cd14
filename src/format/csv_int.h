/* CSV, read piece by piece and written field by field.
 *
 * As in RFC 4180: fields in double quotes may hold anything, a double quote doubled; lines end in
 * LF or CR LF. */
#ifndef VECTRON_FORMAT_CSV_INT_H
#define VECTRON_FORMAT_CSV_INT_H

#include "base/base.h"

struct csv_field {
    size_t at, bytes; /* In record.data. */
    bool is_quoted;
};
struct csv {
    char delimiter;
    uint8_t state;
    uint64_t line; /* Where the record began, from 1. */
    uint64_t next_line;
    struct buf record;
    uint8_t n_mark; /* Bytes of a byte order mark that were skipped; all of them: it is past. */
    bool is_special[256];
    struct csv_field fields[COLUMNS_MAX];
    size_t n_fields;
    bool is_quoted; /* The field that is being read. */
    bool is_done;   /* The record is whole: the next byte begins another. */
};
enum csv_result {
    CSV_RECORD,
    CSV_MORE,
    CSV_BAD
};
/* A record is at most so long. */
void csv_init(struct csv *csv, char delimiter, size_t record_bytes_max);
void csv_fini(struct csv *csv);
/* Reads up to the end of a record; *used says how far it went. */
enum csv_result csv_read(struct csv *csv, const char *data, size_t bytes, size_t *used,
                         struct err *err);
/* At the end of the input: the last record, if its line was not ended. */
enum csv_result csv_end(struct csv *csv, struct err *err);
void csv_write_field(struct buf *out, const struct value *value, char delimiter,
                     const char *null_text, struct buf *scratch);

#endif
