/* What the files of COPY share: copy_plan.c, copy_file.c, copy_csv.c, copy_rows.c, copy_in.c,
 * copy_out.c. */
#ifndef VECTRON_QUERY_COPY_INT_H
#define VECTRON_QUERY_COPY_INT_H

#include <limits.h>

#include "query/query.h"

struct analysis;
struct column_mask;

enum {
    COPY_BATCH_ROWS_MAX = 1024,     /* Of one command of COPY. */
    COPY_BATCH_BYTES_MAX = 1 << 20, /* The same. */
    COPY_IN_FLIGHT_MAX = 4,         /* Commands of one COPY that wait for their acknowledgement. */
    COPY_CHUNK_BYTES = 256 << 10,   /* Read from or written to a file at once. */
    DECODED_BYTE_WORK = 4,
};

enum errcode copy_analyze(struct analysis *a, const struct stmt_copy *s,
                          struct err *err) WARN_UNUSED;

/* Files of the server's, below the policy copy_directory: copy_file.c.  @file is as the statement
 * names it. */
enum {
    COPY_NAME_BYTES = NAME_MAX + 2 /* Room for one that is too long. */
};
/* Opens a regular file to be read; *bytes is its size. */
enum errcode copy_file_open(struct portal *portal, const char *file, int *fd, uint64_t *bytes,
                            struct err *err) WARN_UNUSED;
/* A file that is written, and is in its place once it is kept. */
struct copy_target {
    int fd, folder; /* -1: none. */
    char name[COPY_NAME_BYTES];
    char temporary[64]; /* Its name until then; afterwards "". */
};
enum errcode copy_file_create(struct portal *portal, const char *file, struct copy_target *out,
                              struct err *err) WARN_UNUSED;
enum errcode copy_file_keep(struct copy_target *target, const char *file,
                            struct err *err) WARN_UNUSED;
void copy_file_close(struct copy_target *target); /* Removes what was not kept. */

/* CSV as in RFC 4180: fields in double quotes may hold anything, a double quote doubled; lines end
 * in LF or CR LF. */
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
void csv_init(struct csv *csv, char delimiter);
void csv_fini(struct csv *csv);
/* Reads up to the end of a record; *used says how far it went. */
enum csv_result csv_read(struct csv *csv, const char *data, size_t bytes, size_t *used,
                         struct err *err);
/* At the end of the input: the last record, if its line was not ended. */
enum csv_result csv_end(struct csv *csv, struct err *err);
void csv_write_field(struct buf *out, const struct value *value, char delimiter,
                     const char *null_text, struct buf *scratch);

/* Decodes rows of one format into values, one member a column of the schema. */
struct row_decoder;
enum decoded {
    DECODED_ROW,
    DECODED_MORE,
    DECODED_END,
    DECODED_BAD
};
struct row_decoder *row_decoder_new(struct portal *portal, struct err *err);
void row_decoder_free(struct row_decoder *decoder);
/* One row from the front of @data. */
struct copy_input {
    const uint8_t *data;
    size_t bytes;
    bool is_last; /* Nothing comes behind it. */
    size_t used;  /* How far the decoder went; set by it. */
};
enum decoded row_decode(struct row_decoder *decoder, struct copy_input *input, struct value *values,
                        struct err *err);
/* The columns that rows have values for, from the first row on: fewer than the plan's where a
 * header names fewer. */
const struct column_mask *row_decoder_columns(const struct row_decoder *decoder);
uint64_t row_decoder_total(const struct row_decoder *decoder); /* Rows to come; 0: unknown. */
/* Names the place of the row decoded last, or of what is no row: "line 12" or "row 12". */
void row_decoder_place(const struct row_decoder *decoder, char *text, size_t bytes);

#endif
