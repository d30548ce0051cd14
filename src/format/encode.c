/* From the values of a row to bytes. */
#include "format/csv_int.h"
#include "format/format.h"

#include <inttypes.h>

void row_encoder_init(struct row_encoder *e, const struct row_format *format, struct buf *out)
{
    CHECK(format->schema != NULL && format->n_columns >= 1 && format->n_columns <= COLUMNS_MAX);
    CHECK(format->kind >= COPY_CSV && format->kind <= COPY_BINARY);
    CHECK(format->kind != COPY_CSV || format->null_text != NULL);
    CHECK(format->kind != COPY_FBIN || format->vector < format->n_columns);
    *e = (struct row_encoder){.format = format, .out = out};
    buf_init(&e->scratch, MEM_STATEMENT, out->bytes_max);
}

void row_encoder_fini(struct row_encoder *e)
{
    buf_fini(&e->scratch);
}

static void write_field(struct row_encoder *e, size_t i, const struct value *value)
{
    const struct row_format *format = e->format;
    if (i > 0) {
        buf_u8(e->out, (uint8_t)format->delimiter);
    }
    csv_write_field(e->out, value, format->delimiter, format->null_text, &e->scratch);
}

void row_encoder_begin(struct row_encoder *e, uint64_t n_rows)
{
    const struct row_format *format = e->format;
    const struct column *columns = format->schema->columns;
    CHECK(e->n_rows == 0);
    if (format->kind == COPY_FBIN) {
        buf_u32(e->out, (uint32_t)n_rows);
        buf_u32(e->out, columns[format->columns[format->vector]].dim);
    }
    for (size_t i = 0; format->has_header && i < format->n_columns; i++) {
        struct value name = value_cstr(columns[format->columns[i]].name);
        write_field(e, i, &name);
    }
    if (format->has_header) {
        buf_u8(e->out, '\n');
    }
}

static enum errcode write_fbin(struct row_encoder *e, const struct value *values, struct err *err)
{
    uint32_t column = e->format->columns[e->format->vector];
    const struct value *vector = &values[column];
    CHECK_HOT(column < e->format->schema->n_columns);
    if (vector->type != TYPE_VECTOR) {
        err_set(err, ERR_NOT_NULL, "row %" PRIu64 " has no vector in column \"%s\"", e->n_rows + 1,
                e->format->schema->columns[column].name);
        err_hint(err, "In fbin each row has a vector; use csv.");
        return ERR_NOT_NULL;
    }
    buf_floats(e->out, vector->vector.data, vector->vector.dim);
    return ERR_OK;
}

enum errcode row_encoder_put(struct row_encoder *e, const struct value *values, struct err *err)
{
    const struct row_format *format = e->format;
    enum errcode code = ERR_OK;
    CHECK_HOT(values != NULL);
    switch (format->kind) {
    case COPY_CSV:
        for (size_t i = 0; i < format->n_columns; i++) {
            write_field(e, i, &values[format->columns[i]]);
        }
        buf_u8(e->out, '\n');
        break;
    case COPY_FBIN:
        code = write_fbin(e, values, err);
        break;
    case COPY_BINARY:
        buf_u16(e->out, (uint16_t)format->n_columns);
        for (size_t i = 0; i < format->n_columns; i++) {
            value_write(e->out, &values[format->columns[i]]);
        }
        break;
    }
    e->n_rows++;
    return code;
}
