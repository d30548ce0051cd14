/* CSV: the same records however the input is cut. */
#include "format/csv_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    RECORD_BYTES_MAX = 1000
};

/* Fields as <text>, quoted ones as "text", records ended by ";". */
static void show_record(struct buf *out, const struct csv *csv)
{
    for (size_t i = 0; i < csv->n_fields; i++) {
        const struct csv_field *field = &csv->fields[i];
        buf_u8(out, field->is_quoted ? '"' : '<');
        buf_bytes(out, csv->record.data + field->at, field->bytes);
        buf_u8(out, field->is_quoted ? '"' : '>');
    }
    buf_u8(out, ';');
}

/* False where the input is bad. */
static struct err err; /* Of the last one. */

static bool read_all(const char *text, size_t piece, struct buf *out, uint64_t *line)
{
    struct csv csv;
    size_t left = strlen(text);
    enum csv_result result = CSV_MORE;
    csv_init(&csv, ',', RECORD_BYTES_MAX);
    buf_reset(out);
    while (left > 0 && result != CSV_BAD) {
        size_t n = left < piece ? left : piece, at = 0;
        while (at < n && result != CSV_BAD) {
            size_t used;
            result = csv_read(&csv, text + at, n - at, &used, &err);
            at += used;
            if (result == CSV_RECORD) {
                show_record(out, &csv);
            }
        }
        text += n;
        left -= n;
    }
    if (result != CSV_BAD && (result = csv_end(&csv, &err)) == CSV_RECORD) {
        show_record(out, &csv);
    }
    *line = csv.line;
    csv_fini(&csv);
    return result != CSV_BAD;
}

#define reads(text, records) reads_at((text), (records), __LINE__)
static void reads_at(const char *text, const char *records, int line)
{
    struct buf out;
    uint64_t at;
    buf_init(&out, MEM_GENERAL, 1 << 20);
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        assert_true(read_all(text, piece, &out, &at));
        buf_u8(&out, 0);
        if (strcmp((const char *)out.data, records) != 0) {
            print_error("pieces of %zu gave %s, not %s\n", piece, (const char *)out.data, records);
            _fail(__FILE__, line);
        }
    }
    buf_fini(&out);
}

static void records_end_at_newlines_and_fields_at_commas(void **state)
{
    (void)state;
    reads("a,b\nc,d\n", "<a><b>;<c><d>;");
    reads("a,b\r\nc,d\r\n", "<a><b>;<c><d>;");
    reads("a,b", "<a><b>;");
    reads("a,", "<a><>;");
    reads(",\n", "<><>;");
    reads("a,b\r", "<a><b>;");
    reads("\r\n\"\"\r\n", "<>;\"\";");
    reads("\n\n", "<>;<>;");
    reads("", "");
}

static void quotes_hold_anything(void **state)
{
    (void)state;
    reads("\"a,b\",c\n", "\"a,b\"<c>;");
    reads("\"a\nb\"\n", "\"a\nb\";");
    reads("\"say \"\"hi\"\"\"\n", "\"say \"hi\"\";");
    reads("\"\",x\n", "\"\"<x>;");
    reads("\"a\r\"\r\nb\n", "\"a\r\";<b>;");
    reads("\"end\"", "\"end\";");
}

#define refuses(text, why, at) refuses_at((text), (why), (at), __LINE__)
static void refuses_at(const char *text, const char *why, uint64_t at, int line)
{
    struct buf out;
    uint64_t found;
    buf_init(&out, MEM_GENERAL, 1 << 20);
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        if (read_all(text, piece, &out, &found) || found != at ||
            strstr(err.message, why) == NULL || err.hint[0] == '\0') {
            print_error("pieces of %zu: line %u: %s\n", piece, (unsigned)found, err.message);
            _fail(__FILE__, line);
        }
    }
    buf_fini(&out);
}

static void what_cannot_be_told_is_an_error_with_its_line(void **state)
{
    (void)state;
    refuses("a\n\"x\"y\n", "closing quote", 2);
    refuses("a\n\"x\" ,b\n", "closing quote", 2);
    refuses("\"a\n\"\nb,\"x\"y", "closing quote", 3);
    refuses("5\" pipe,1\n2\" pipe,1\n", "a quote in the middle", 1);
    refuses("a, \"b\"\n", "a quote in the middle", 1);
    refuses("\xff\xfe"
            "a",
            "UTF-16", 1);
    refuses("\xfe\xff", "UTF-16", 1);
    refuses("a\rb\rc", "carriage return", 1);
    refuses("a,b\r\r\n", "carriage return", 1);
    refuses("a\r,b\n", "carriage return", 1);
    refuses("\"a\"\r\"b\"\n", "carriage return", 1);
}

static void a_byte_order_mark_is_skipped_at_the_very_beginning(void **state)
{
    (void)state;
    reads("\xef\xbb\xbf"
          "a,b\n",
          "<a><b>;");
    reads("\xef\xbb\xbf\"a\",b\n", "\"a\"<b>;");
    reads("\xef\xbb\xbf", "");
    reads("\xef\xbb\xbf\n", "<>;");
    reads("\xef\xbb\xbf\xef\xbb\xbf"
          "a\n",
          "<\xef\xbb\xbf"
          "a>;");
    reads("a\n\xef\xbb\xbf"
          "b\n",
          "<a>;<\xef\xbb\xbf"
          "b>;");
    reads("\xef\xbb\xbe\n", "<\xef\xbb\xbe>;"); /* Another character. */
    reads("\xef\xbb", "<\xef\xbb>;");
    reads("\xef", "<\xef>;");
}

static void an_open_quote_at_the_end_is_an_error_with_its_line(void **state)
{
    (void)state;
    struct buf out;
    uint64_t line;
    buf_init(&out, MEM_GENERAL, 1 << 20);
    assert_false(read_all("a\n\"x\ny\"\n\"open\n\n", 4, &out, &line));
    assert_int_equal(line, 4);
    buf_fini(&out);
}

static void too_many_fields_are_an_error(void **state)
{
    (void)state;
    char text[COLUMNS_MAX + 2];
    struct buf out;
    uint64_t line;
    memset(text, ',', COLUMNS_MAX);
    text[COLUMNS_MAX] = 0;
    buf_init(&out, MEM_GENERAL, 1 << 20);
    assert_false(read_all(text, 1000, &out, &line));
    buf_fini(&out);
}

static void written_fields_read_back_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {"",   "plain", "a,b", "quo\"te",         "line\nend",
                                        "\r", " x ",   "\\.", "\xef\xbb\xbfmark"};
    struct buf out, scratch, shown;
    buf_init(&out, MEM_GENERAL, 1 << 20);
    buf_init(&scratch, MEM_GENERAL, 1 << 20);
    buf_init(&shown, MEM_GENERAL, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct csv csv;
        size_t used;
        struct value value = value_cstr(texts[i]);
        buf_reset(&out);
        csv_write_field(&out, &value, ',', "", &scratch);
        buf_u8(&out, '\n');
        csv_init(&csv, ',', RECORD_BYTES_MAX);
        assert_int_equal(csv_read(&csv, (const char *)out.data, out.bytes, &used, &err),
                         CSV_RECORD);
        assert_int_equal(csv.n_fields, 1);
        assert_int_equal(csv.fields[0].bytes, strlen(texts[i]));
        assert_memory_equal(csv.record.data, texts[i], strlen(texts[i]));
        csv_fini(&csv);
    }
    buf_reset(&out);
    struct value null = value_null();
    csv_write_field(&out, &null, ',', "\\N", &scratch);
    assert_memory_equal(out.data, "\\N", 2);
    buf_fini(&out);
    buf_fini(&scratch);
    buf_fini(&shown);
}

static void a_record_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char text[RECORD_BYTES_MAX + 2];
    struct csv csv;
    size_t used;
    memset(text, 'x', sizeof(text));
    text[RECORD_BYTES_MAX] = '\n';
    csv_init(&csv, ',', RECORD_BYTES_MAX);
    assert_int_equal(csv_read(&csv, text, sizeof(text) - 1, &used, &err), CSV_RECORD);
    csv_fini(&csv);
    text[RECORD_BYTES_MAX] = 'x';
    csv_init(&csv, ',', RECORD_BYTES_MAX);
    assert_int_equal(csv_read(&csv, text, sizeof(text), &used, &err), CSV_BAD);
    assert_string_equal(err.message, "a record is longer than 1000 bytes");
    csv_fini(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_is_too_long_is_refused),
        cmocka_unit_test(records_end_at_newlines_and_fields_at_commas),
        cmocka_unit_test(quotes_hold_anything),
        cmocka_unit_test(what_cannot_be_told_is_an_error_with_its_line),
        cmocka_unit_test(a_byte_order_mark_is_skipped_at_the_very_beginning),
        cmocka_unit_test(an_open_quote_at_the_end_is_an_error_with_its_line),
        cmocka_unit_test(too_many_fields_are_an_error),
        cmocka_unit_test(written_fields_read_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
