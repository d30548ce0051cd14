/* The door of format: rows as other people's bytes, and back.
 *
 *   csv     text fields as in RFC 4180; a header says which columns they are
 *   fbin    u32 rows, u32 dimension, then rows * dimension raw f32; keys are counted or read
 *   binary  rows one after another: u16 n, n values (base/value.h)
 *
 * All numbers are little-endian. */
#ifndef VECTRON_FORMAT_H
#define VECTRON_FORMAT_H

#include <stdio.h>

#include "base/base.h"

enum copy_format {
    COPY_CSV = 1,
    COPY_FBIN = 2,
    COPY_BINARY = 3
}; /* Numbers on the wire. */

/* How rows are written.  What it points to is borrowed for as long as rows are read or written. */
struct row_format {
    enum copy_format kind;
    const struct schema *schema;
    uint32_t *columns; /* The schema's numbers, in the order of a row's members. */
    size_t n_columns;
    bool has_header; /* csv, and what follows. */
    char delimiter;
    const char *null_text;
    size_t vector;        /* fbin: its place in columns. */
    int64_t start;        /* fbin: id of the first row. */
    const char *ids_file; /* fbin: the name of the file that ids are read from, or NULL. */
};

/* ---- from bytes to rows: decode.c ---- */

/* What rows are made with. */
struct row_making {
    FILE *ids;               /* Of ids_file, one a line: the decoder closes it. */
    size_t record_bytes_max; /* csv: a longer record is an error. */
    struct arena *arena;     /* The values of a row are here, or borrowed until the next one. */
    /* Makes a value that the column's type is not a value of the type that it wants. */
    enum errcode (*coerce)(const struct value *value, enum value_type want, struct arena *arena,
                           struct value *out, struct err *err);
};
struct row_decoder;
/* NULL: no memory; then the ids are closed too. */
struct row_decoder *row_decoder_new(const struct row_format *format,
                                    const struct row_making *making);
void row_decoder_free(struct row_decoder *decoder);

struct row_input {
    const uint8_t *data;
    size_t bytes;
    bool is_last; /* Nothing comes behind it. */
    size_t used;  /* How far the decoder went; set by it. */
};
enum decoded {
    DECODED_ROW,
    DECODED_MORE,
    DECODED_END,
    DECODED_BAD
};
/* One row from the front of the input: a value for each column of the schema. */
enum decoded row_decoder_next(struct row_decoder *decoder, struct row_input *input,
                              struct value *values, struct err *err);
/* The columns that rows have values for, a bit each, from the first row on: fewer than the format's
 * where a header names fewer. */
const uint64_t *row_decoder_columns(const struct row_decoder *decoder);
uint64_t row_decoder_total(const struct row_decoder *decoder); /* Rows to come; 0: unknown. */
/* Where the row decoded last stood, or what is no row: its line of csv, or its number, from 1.  And
 * the name of such a place: "line 12" or "row 12". */
uint64_t row_decoder_place(const struct row_decoder *decoder);
void row_decoder_name(const struct row_decoder *decoder, uint64_t place, char *text, size_t bytes);

/* ---- from rows to bytes: encode.c ---- */

struct row_encoder {
    const struct row_format *format;
    struct buf *out; /* Fails where memory runs out. */
    struct buf scratch;
    uint64_t n_rows; /* Written. */
};
void row_encoder_init(struct row_encoder *encoder, const struct row_format *format,
                      struct buf *out);
void row_encoder_fini(struct row_encoder *encoder);
/* What stands before the rows.  fbin says how many there will be. */
void row_encoder_begin(struct row_encoder *encoder, uint64_t n_rows);
/* @values has one for each column of the schema.  NOT_NULL: fbin without a vector. */
enum errcode row_encoder_put(struct row_encoder *encoder, const struct value *values,
                             struct err *err) WARN_UNUSED;

/* ---- a field of CSV: csv.c ---- */

/* A text that is not NULL: in quotes where it would else be read back as something else. */
void csv_write_text(struct buf *out, const char *text, size_t bytes, char delimiter,
                    const char *null_text);

#endif
