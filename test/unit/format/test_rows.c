/* Rows as bytes and back: the same rows in each format, however the input is cut. */
#include "test/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#include "format/format.h"

enum {
    ROWS = 5,
    BYTES_MAX = 1 << 16,
};

static struct schema schema;
static uint32_t columns[3] = {0, 1, 2};

static struct row_format format_of(enum copy_format kind)
{
    memset(&schema, 0, sizeof(schema));
    snprintf(schema.name, sizeof(schema.name), "docs");
    schema.n_columns = 3;
    schema.columns[0] = (struct column){.name = "id", .type = TYPE_INT, .is_not_null = true};
    schema.columns[1] = (struct column){.name = "title", .type = TYPE_TEXT};
    schema.columns[2] = (struct column){.name = "v", .type = TYPE_VECTOR, .dim = 2};
    columns[1] = kind == COPY_FBIN ? 2 : 1;
    return (struct row_format){.kind = kind,
                               .schema = &schema,
                               .columns = columns,
                               .n_columns = kind == COPY_FBIN ? 2 : 3,
                               .delimiter = ',',
                               .null_text = "",
                               .vector = 1};
}

static enum errcode refuse(const struct value *value, enum value_type want, struct arena *arena,
                           struct value *out, struct err *err)
{
    (void)arena;
    if (value->type != want && value->type != TYPE_NULL) {
        return err_set(err, ERR_TYPE_MISMATCH, "another type");
    }
    *out = *value;
    return ERR_OK;
}

static void make_row(int64_t i, float vector[2], struct value values[3])
{
    static const char *const titles[ROWS] = {"plain", "a, \"b\"\n", "", "x", "\xc3\xa9"};
    vector[0] = (float)i;
    vector[1] = -0.5F;
    values[0] = value_int(i);
    values[1] = i == 4 ? value_null() : value_cstr(titles[i - 1]);
    values[2] = value_vector(vector, 2);
}

static void encode(const struct row_format *format, struct buf *out)
{
    struct row_encoder e;
    row_encoder_init(&e, format, out);
    row_encoder_begin(&e, ROWS);
    for (int64_t i = 1; i <= ROWS; i++) {
        struct err err;
        float vector[2];
        struct value values[3];
        make_row(i, vector, values);
        assert_int_equal(row_encoder_put(&e, values, &err), ERR_OK);
    }
    assert_int_equal(e.n_rows, ROWS);
    assert_false(out->failed);
    row_encoder_fini(&e);
}

/* Reads @data in pieces: each row is shown in @shown.  What follows the last row is returned. */
static enum decoded decode(const struct row_format *format, FILE *ids, const struct buf *data,
                           size_t piece, struct buf *shown, struct err *err)
{
    struct arena *arena = arena_new(MEM_GENERAL, BYTES_MAX);
    struct row_making making = {
        .ids = ids, .record_bytes_max = BYTES_MAX, .arena = arena, .coerce = refuse};
    struct row_decoder *d = row_decoder_new(format, &making);
    struct row_input in = {.data = data->data};
    size_t at = 0;
    enum decoded decoded = DECODED_MORE;
    assert_non_null(d);
    for (size_t end = 0; decoded == DECODED_MORE || decoded == DECODED_ROW;) {
        struct value values[3];
        if (decoded == DECODED_MORE) {
            assert_true(end < data->bytes || !in.is_last);
            end = end + piece < data->bytes ? end + piece : data->bytes;
        }
        in = (struct row_input){
            .data = data->data + at, .bytes = end - at, .is_last = end == data->bytes};
        arena_reset(arena);
        decoded = row_decoder_next(d, &in, values, err);
        at += in.used;
        for (size_t i = 0; i < 3 && decoded == DECODED_ROW; i++) {
            value_format(shown, &values[i]);
            buf_u8(shown, i == 2 ? '\n' : '|');
        }
    }
    if (decoded == DECODED_BAD) {
        char place[48];
        row_decoder_name(d, row_decoder_place(d), place, sizeof(place));
        err_prefix(err, "%s", place);
    }
    row_decoder_free(d);
    arena_free(arena);
    return decoded;
}

static void round_trip(enum copy_format kind, bool has_header)
{
    struct row_format format = format_of(kind);
    struct buf data, want, shown;
    struct err err;
    format.has_header = has_header;
    format.start = 1;
    buf_init(&data, MEM_GENERAL, BYTES_MAX);
    buf_init(&want, MEM_GENERAL, BYTES_MAX);
    buf_init(&shown, MEM_GENERAL, BYTES_MAX);
    encode(&format, &data);
    for (int64_t i = 1; i <= ROWS; i++) {
        float vector[2];
        struct value values[3];
        make_row(i, vector, values);
        values[1] = kind == COPY_FBIN ? value_null() : values[1];
        for (size_t j = 0; j < 3; j++) {
            value_format(&want, &values[j]);
            buf_u8(&want, j == 2 ? '\n' : '|');
        }
    }
    for (size_t piece = 1; piece <= data.bytes; piece++) {
        buf_reset(&shown);
        assert_int_equal(decode(&format, NULL, &data, piece, &shown, &err), DECODED_END);
        assert_int_equal(shown.bytes, want.bytes);
        assert_memory_equal(shown.data, want.data, want.bytes);
    }
    buf_fini(&data);
    buf_fini(&want);
    buf_fini(&shown);
}

static void rows_come_back_from_csv(void **state)
{
    (void)state;
    round_trip(COPY_CSV, false);
    round_trip(COPY_CSV, true);
}

static void rows_come_back_from_fbin(void **state)
{
    (void)state;
    round_trip(COPY_FBIN, false);
}

static void rows_come_back_from_binary(void **state)
{
    (void)state;
    round_trip(COPY_BINARY, false);
}

/* What is wrong with @text, and where. */
static void is_bad(const struct row_format *format, FILE *ids, const void *text, size_t bytes,
                   const char *message)
{
    struct buf data, shown;
    struct err err;
    buf_init(&data, MEM_GENERAL, BYTES_MAX);
    buf_init(&shown, MEM_GENERAL, BYTES_MAX);
    buf_bytes(&data, text, bytes);
    assert_int_equal(decode(format, ids, &data, bytes, &shown, &err), DECODED_BAD);
    assert_string_equal(err.message, message);
    buf_fini(&data);
    buf_fini(&shown);
}

static void a_header_may_name_fewer_columns_but_no_others(void **state)
{
    (void)state;
    struct row_format format = format_of(COPY_CSV);
    struct buf data, shown;
    struct err err;
    format.has_header = true;
    buf_init(&data, MEM_GENERAL, BYTES_MAX);
    buf_init(&shown, MEM_GENERAL, BYTES_MAX);
    static const char text[] = "V,ID\n\"[1, 2]\",7\n";
    buf_bytes(&data, text, strlen(text));
    assert_int_equal(decode(&format, NULL, &data, 3, &shown, &err), DECODED_END);
    assert_int_equal(shown.bytes, strlen("7||[1,2]\n"));
    assert_memory_equal(shown.data, "7||[1,2]\n", shown.bytes);
    buf_fini(&data);
    buf_fini(&shown);
    is_bad(&format, NULL, "id,w\n", 5, "line 1: the header names column \"w\", which docs has not");
    is_bad(&format, NULL, "id,v,id\n", 8, "line 1: the header names column \"id\" twice");
    is_bad(&format, NULL, "v\n", 2, "line 1: the header does not name the primary key \"id\"");
}

static FILE *file_of(const char *text)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    rewind(file);
    return file;
}

static void ids_of_fbin_are_as_many_as_its_rows(void **state)
{
    (void)state;
    struct row_format format = format_of(COPY_FBIN);
    struct buf data, shown;
    struct err err;
    format.ids_file = "ids";
    buf_init(&data, MEM_GENERAL, BYTES_MAX);
    buf_init(&shown, MEM_GENERAL, BYTES_MAX);
    encode(&format, &data);
    assert_int_equal(decode(&format, file_of("9\n8\r\n7\n6\n5"), &data, 7, &shown, &err),
                     DECODED_END);
    static const char first[] = "9||[1,-0.5]\n8||";
    assert_memory_equal(shown.data, first, strlen(first));
    is_bad(&format, file_of("9\n8\n"), data.data, data.bytes,
           "row 3: the file \"ids\" has only 2 ids");
    is_bad(&format, file_of("9\n\r\n7\n6\n5\n"), data.data, data.bytes,
           "row 2: line 2 of the file \"ids\" is blank");
    is_bad(&format, file_of("9\n8\n7\n6\n5\n4\n"), data.data, data.bytes,
           "row 6: the file \"ids\" has more ids than there are rows");
    buf_fini(&data);
    buf_fini(&shown);
}

static void what_is_no_row_is_refused(void **state)
{
    (void)state;
    struct row_format format = format_of(COPY_BINARY);
    is_bad(&format, NULL, "\x02\x00", 2, "row 1: no row of 3 values");
    is_bad(&format, NULL, "\x03\x00\x01", 3, "row 1: the data end within a row");
    format = format_of(COPY_FBIN);
    is_bad(&format, NULL, "\x01\x00\x00\x00", 4, "row 1: the data end within the header of fbin");
    is_bad(&format, NULL, "\x01\x00\x00\x00\x03\x00\x00\x00", 8,
           "row 1: the vectors have 3 dimensions, and column \"v\" has 2");
    is_bad(&format, NULL, "\x01\x00\x00\x00\x02\x00\x00\x00", 8,
           "row 1: the header names 1 rows, and the data hold fewer");
    format = format_of(COPY_CSV);
    is_bad(&format, NULL, "1,x\n", 4, "line 1: 2 fields where 3 are needed");
}

static void a_row_without_a_vector_is_no_fbin(void **state)
{
    (void)state;
    struct row_format format = format_of(COPY_FBIN);
    struct row_encoder e;
    struct buf out;
    struct err err;
    struct value values[3] = {value_int(1), value_null(), value_null()};
    buf_init(&out, MEM_GENERAL, BYTES_MAX);
    row_encoder_init(&e, &format, &out);
    assert_int_equal(row_encoder_put(&e, values, &err), ERR_NOT_NULL);
    assert_string_equal(err.message, "row 1 has no vector in column \"v\"");
    row_encoder_fini(&e);
    buf_fini(&out);
}

static void a_row_that_memory_is_too_small_for_is_not_called_bad_data(void **state)
{
    (void)state;
    static float zeros[BYTES_MAX / sizeof(float)]; /* decode has so much memory in all. */
    for (enum copy_format kind = COPY_CSV; kind <= COPY_BINARY; kind++) {
        struct row_format format = format_of(kind);
        struct row_encoder e;
        struct buf data, shown;
        struct err err;
        struct value values[3] = {value_int(1), value_null(), value_vector(zeros, COUNT_OF(zeros))};
        schema.columns[2].dim = COUNT_OF(zeros);
        buf_init(&data, MEM_GENERAL, 4 * BYTES_MAX);
        buf_init(&shown, MEM_GENERAL, BYTES_MAX);
        row_encoder_init(&e, &format, &data);
        row_encoder_begin(&e, 1);
        assert_int_equal(row_encoder_put(&e, values, &err), ERR_OK);
        assert_int_equal(decode(&format, NULL, &data, data.bytes, &shown, &err), DECODED_BAD);
        assert_int_equal(err.code, ERR_OUT_OF_MEMORY);
        row_encoder_fini(&e);
        buf_fini(&data);
        buf_fini(&shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_from_csv),
        cmocka_unit_test(rows_come_back_from_fbin),
        cmocka_unit_test(rows_come_back_from_binary),
        cmocka_unit_test(a_header_may_name_fewer_columns_but_no_others),
        cmocka_unit_test(ids_of_fbin_are_as_many_as_its_rows),
        cmocka_unit_test(what_is_no_row_is_refused),
        cmocka_unit_test(a_row_without_a_vector_is_no_fbin),
        cmocka_unit_test(a_row_that_memory_is_too_small_for_is_not_called_bad_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
