/* The codecs: each message comes back as it was written, and no other length of it is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/wire.h"

static struct wire_str str(const char *text)
{
    return (struct wire_str){.data = text, .bytes = (uint32_t)strlen(text)};
}

static void assert_str(struct wire_str s, const char *text)
{
    assert_int_equal(s.bytes, strlen(text));
    assert_memory_equal(s.data, text, s.bytes);
}

/* Written by write(), read by read() whole, cut at every byte, and with one byte too many. */
struct codec {
    void (*write)(struct buf *b);
    bool (*read)(struct reader *r);
    bool may_be_longer; /* A list that the caller reads on follows. */
};

static void check_codec(const struct codec *codec)
{
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 20);
    codec->write(&b);
    assert_false(b.failed);
    struct wire_frame frame;
    size_t need_bytes;
    assert_int_equal(wire_parse(b.data, b.bytes, b.bytes, &frame, &need_bytes), WIRE_FRAME);
    assert_int_equal(need_bytes, b.bytes);
    struct reader r;
    reader_init(&r, frame.payload, frame.payload_bytes);
    assert_true(codec->read(&r));
    assert_true(reader_done(&r));
    for (uint32_t n = 0; n < frame.payload_bytes; n++) {
        uint8_t *cut = malloc(n + 1); /* Exact, so that ASan sees a byte too far. */
        assert_non_null(cut);
        memcpy(cut, frame.payload, n);
        reader_init(&r, cut, n);
        assert_false(codec->read(&r) && reader_done(&r));
        free(cut);
    }
    uint8_t *longer = calloc(1, (size_t)frame.payload_bytes + 1);
    assert_non_null(longer);
    memcpy(longer, frame.payload, frame.payload_bytes);
    reader_init(&r, longer, (size_t)frame.payload_bytes + 1);
    assert_false(codec->read(&r) && (!codec->may_be_longer || reader_done(&r)));
    free(longer);
    buf_fini(&b);
}

/* ---- one pair a message ---- */

static void write_startup(struct buf *b)
{
    struct wire_startup m = {.magic = WIRE_MAGIC, .major = WIRE_VERSION_MAJOR, .minor = 7};
    m.n_options = 2;
    m.options[0] = (struct wire_option){.name = str("user"), .value = str("ada")};
    m.options[1] = (struct wire_option){.name = str("recall"), .value = str("")};
    wire_write_startup(b, &m);
}

static bool read_startup(struct reader *r)
{
    struct wire_startup m;
    if (!wire_read_startup(r, &m)) {
        return false;
    }
    assert_int_equal(m.minor, 7);
    assert_int_equal(m.n_options, 2);
    assert_str(m.options[0].name, "user");
    assert_str(m.options[0].value, "ada");
    assert_str(m.options[1].name, "recall");
    assert_str(m.options[1].value, "");
    return true;
}

static void write_key(struct buf *b)
{
    wire_write_key(b, WIRE_SESSION_KEY, &(struct wire_key){.session = 3, .secret = UINT64_MAX});
}

static bool read_key(struct reader *r)
{
    struct wire_key m;
    bool is_read = wire_read_key(r, WIRE_SESSION_KEY, &m);
    assert_true(!is_read || (m.session == 3 && m.secret == UINT64_MAX));
    return is_read;
}

static void write_cancel(struct buf *b)
{
    wire_write_key(b, WIRE_CANCEL, &(struct wire_key){.session = 3, .secret = 4});
}

static bool read_cancel(struct reader *r)
{
    struct wire_key m;
    bool is_read = wire_read_key(r, WIRE_CANCEL, &m);
    assert_true(!is_read || (m.session == 3 && m.secret == 4));
    return is_read;
}

static void write_status(struct buf *b)
{
    wire_write_status(b, "server_version", "1.2");
}

static bool read_status(struct reader *r)
{
    struct wire_str name, value;
    bool is_read = wire_read_status(r, &name, &value);
    if (is_read) {
        assert_str(name, "server_version");
        assert_str(value, "1.2");
    }
    return is_read;
}

static void write_query(struct buf *b)
{
    wire_write_text(b, WIRE_QUERY, "SELECT 1", 8);
}

static bool read_query(struct reader *r)
{
    struct wire_str text;
    bool is_read = wire_read_text(r, &text);
    if (is_read) {
        assert_str(text, "SELECT 1");
    }
    return is_read;
}

static void write_prepare(struct buf *b)
{
    static const uint8_t types[] = {TYPE_NULL, TYPE_VECTOR};
    wire_write_parse(b,
                     &(struct wire_parse_message){
                         .name = str("s"), .text = str("SELECT $1"), .n_types = 2, .types = types});
}

static bool read_prepare(struct reader *r)
{
    struct wire_parse_message m;
    bool is_read = wire_read_parse(r, &m);
    if (is_read) {
        assert_str(m.name, "s");
        assert_str(m.text, "SELECT $1");
        assert_int_equal(m.n_types, 2);
        assert_int_equal(m.types[1], TYPE_VECTOR);
    }
    return is_read;
}

static void write_bind(struct buf *b)
{
    static const float vector[] = {1, 2};
    struct value values[] = {value_vector(vector, 2), value_cstr("x"), value_null()};
    wire_write_bind(b, str("p"), str("s"), values, 3);
}

static bool read_bind(struct reader *r)
{
    struct wire_bind m;
    if (!wire_read_bind(r, &m)) {
        return false;
    }
    assert_int_equal(m.n_values, 3);
    struct arena *arena = arena_new(MEM_STATEMENT, 1 << 20);
    assert_non_null(arena);
    struct value vector = value_read(r, arena);
    struct value text = value_read(r, arena);
    struct value null = value_read(r, arena);
    if (!r->failed) {
        assert_int_equal(vector.vector.dim, 2);
        assert_true(vector.vector.data[1] == 2);
        assert_int_equal(text.text.bytes, 1);
        assert_int_equal(null.type, TYPE_NULL);
    }
    arena_free(arena);
    return !r->failed;
}

static void write_describe(struct buf *b)
{
    wire_write_named(b, WIRE_DESCRIBE, WIRE_KIND_PORTAL, str("p"));
}

static bool read_describe(struct reader *r)
{
    char kind;
    struct wire_str name;
    bool is_read = wire_read_named(r, &kind, &name);
    if (is_read) {
        assert_int_equal(kind, WIRE_KIND_PORTAL);
        assert_str(name, "p");
    }
    return is_read;
}

static void write_execute(struct buf *b)
{
    wire_write_execute(b, str(""), 10);
}

static bool read_execute(struct reader *r)
{
    struct wire_str portal;
    uint32_t limit;
    bool is_read = wire_read_execute(r, &portal, &limit);
    assert_true(!is_read || (portal.bytes == 0 && limit == 10));
    return is_read;
}

static void write_parameters(struct buf *b)
{
    static const uint8_t types[] = {TYPE_INT, TYPE_TEXT, TYPE_JSON};
    wire_write_parameters(b, types, 3);
}

static bool read_parameters(struct reader *r)
{
    const uint8_t *types;
    uint16_t n;
    bool is_read = wire_read_parameters(r, &types, &n);
    assert_true(!is_read || (n == 3 && types[2] == TYPE_JSON));
    return is_read;
}

static void write_columns(struct buf *b)
{
    struct wire_column columns[] = {{.name = str("id"), .type = TYPE_TEXT},
                                    {.name = str("v"), .type = TYPE_VECTOR, .dim = 100}};
    wire_write_columns(b, columns, 2);
}

static bool read_columns(struct reader *r)
{
    uint16_t n;
    struct wire_column first, second;
    if (!wire_read_column_count(r, &n) || !wire_read_column(r, &first) ||
        !wire_read_column(r, &second)) {
        return false;
    }
    assert_int_equal(n, 2);
    assert_str(second.name, "v");
    assert_int_equal(second.dim, 100);
    return true;
}

static void write_row(struct buf *b)
{
    struct value values[] = {value_int(-5), value_bool(true)};
    wire_write_row(b, values, 2);
}

static bool read_row(struct reader *r)
{
    uint16_t n;
    if (!wire_read_column_count(r, &n)) {
        return false;
    }
    struct value first = value_read(r, NULL);
    struct value second = value_read(r, NULL);
    assert_true(r->failed || (n == 2 && first.integer == -5 && second.boolean));
    return !r->failed;
}

static void write_complete(struct buf *b)
{
    wire_write_complete(b, "SEARCH", 10);
}

static bool read_complete(struct reader *r)
{
    struct wire_str tag;
    uint64_t n_rows;
    bool is_read = wire_read_complete(r, &tag, &n_rows);
    if (is_read) {
        assert_str(tag, "SEARCH");
        assert_int_equal(n_rows, 10);
    }
    return is_read;
}

static void write_copy(struct buf *b)
{
    static const uint8_t types[] = {TYPE_TEXT, TYPE_VECTOR};
    wire_write_copy(b, WIRE_COPY_IN, 3, types, 2);
}

static bool read_copy(struct reader *r)
{
    uint8_t format;
    const uint8_t *types;
    uint16_t n;
    bool is_read = wire_read_copy(r, &format, &types, &n);
    assert_true(!is_read || (format == 3 && n == 2 && types[0] == TYPE_TEXT));
    return is_read;
}

static void write_progress(struct buf *b)
{
    wire_write_progress(b, "linking", 5, 10);
}

static bool read_progress(struct reader *r)
{
    struct wire_str phase;
    uint64_t done, total;
    bool is_read = wire_read_progress(r, &phase, &done, &total);
    if (is_read) {
        assert_str(phase, "linking");
        assert_true(done == 5 && total == 10);
    }
    return is_read;
}

static void write_error(struct buf *b)
{
    struct err err;
    err_set(&err, ERR_UNKNOWN_COLUMN, "no column \"%s\"", "titel");
    err_hint(&err, "did you mean \"title\"?");
    err_detail(&err, "detail");
    err_collection(&err, "docs");
    err_column(&err, "titel");
    err_policy(&err, "recall");
    err.position = 8;
    wire_write_error(b, WIRE_ERROR, "ERROR", &err);
}

static bool read_error(struct reader *r)
{
    struct err err;
    struct wire_str severity, sqlstate;
    if (!wire_read_error(r, &err, &severity, &sqlstate)) {
        return false;
    }
    assert_int_equal(err.code, ERR_UNKNOWN_COLUMN);
    assert_str(severity, "ERROR");
    assert_str(sqlstate, err_sqlstate(ERR_UNKNOWN_COLUMN));
    assert_string_equal(err.message, "no column \"titel\"");
    assert_string_equal(err.hint, "did you mean \"title\"?");
    assert_string_equal(err.detail, "detail");
    assert_string_equal(err.collection, "docs");
    assert_string_equal(err.column, "titel");
    assert_string_equal(err.policy, "recall");
    assert_int_equal(err.position, 8);
    return true;
}

static void every_message_comes_back_and_no_other_length_of_it(void **state)
{
    (void)state;
    static const struct codec codecs[] = {
        {write_startup, read_startup, false},   {write_key, read_key, false},
        {write_cancel, read_cancel, false},     {write_status, read_status, false},
        {write_query, read_query, false},       {write_prepare, read_prepare, false},
        {write_bind, read_bind, true},          {write_describe, read_describe, false},
        {write_execute, read_execute, false},   {write_parameters, read_parameters, false},
        {write_columns, read_columns, true},    {write_row, read_row, true},
        {write_complete, read_complete, false}, {write_copy, read_copy, false},
        {write_progress, read_progress, false}, {write_error, read_error, false},
    };
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        check_codec(&codecs[i]);
    }
}

/* ---- frames ---- */

static void a_frame_that_is_cut_asks_for_the_rest(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1024);
    wire_write_text(&b, WIRE_QUERY, "SELECT 1", 8);
    for (size_t n = 0; n < b.bytes; n++) {
        struct wire_frame frame;
        size_t need_bytes;
        assert_int_equal(wire_parse(b.data, n, 1024, &frame, &need_bytes), WIRE_NEED_MORE);
        assert_int_equal(need_bytes, n < WIRE_HEADER_BYTES ? WIRE_HEADER_BYTES : b.bytes);
    }
    buf_fini(&b);
}

static void a_frame_over_the_bound_is_told_from_its_header_alone(void **state)
{
    (void)state;
    uint8_t header[WIRE_HEADER_BYTES] = {WIRE_QUERY};
    le_put_u32(header + 1, 101);
    struct wire_frame frame;
    size_t need_bytes;
    assert_int_equal(wire_parse(header, sizeof header, 100, &frame, &need_bytes), WIRE_TOO_LARGE);
    assert_int_equal(frame.type, WIRE_QUERY);
    assert_int_equal(frame.payload_bytes, 101);
    le_put_u32(header + 1, UINT32_MAX);
    assert_int_equal(wire_parse(header, sizeof header, 100, &frame, &need_bytes), WIRE_TOO_LARGE);
    le_put_u32(header + 1, 100);
    assert_int_equal(wire_parse(header, sizeof header, 100, &frame, &need_bytes), WIRE_NEED_MORE);
}

static void a_letter_finds_its_row_and_no_letter_stands_twice(void **state)
{
    (void)state;
    size_t n, found = 0;
    const struct wire_row *rows = wire_rows(&n);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(wire_find(rows[i].letter), &rows[i]);
    }
    for (unsigned letter = 0; letter < 256; letter++) {
        found += wire_find((uint8_t)letter) != NULL;
    }
    assert_int_equal(found, n);
}

static void a_full_buffer_fails_and_the_frame_is_not_patched(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 8);
    wire_write_text(&b, WIRE_QUERY, "a text that does not fit", 24);
    assert_true(b.failed);
    assert_true(b.bytes <= 8);
    buf_fini(&b);
}

/* ---- refusals ---- */

static void startup_of_another_major_version_gives_its_version_only(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1024);
    buf_u32(&b, WIRE_MAGIC);
    buf_u16(&b, 9);
    buf_u16(&b, 1);
    buf_bytes(&b, "something of the future", 23);
    struct reader r;
    struct wire_startup m;
    reader_init(&r, b.data, b.bytes);
    assert_true(wire_read_startup(&r, &m));
    assert_int_equal(m.major, 9);
    assert_int_equal(m.n_options, 0);
    b.data[0] ^= 1;
    reader_init(&r, b.data, b.bytes);
    assert_false(wire_read_startup(&r, &m));
    buf_fini(&b);
}

static void too_many_options_are_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 8192);
    buf_u32(&b, WIRE_MAGIC);
    buf_u16(&b, WIRE_VERSION_MAJOR);
    buf_u16(&b, 0);
    buf_u16(&b, WIRE_OPTIONS_MAX + 1);
    for (int i = 0; i < WIRE_OPTIONS_MAX + 1; i++) {
        buf_str(&b, "user", 4);
        buf_str(&b, "x", 1);
    }
    struct reader r;
    struct wire_startup m;
    reader_init(&r, b.data, b.bytes);
    assert_false(wire_read_startup(&r, &m));
    buf_fini(&b);
}

static void types_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 64);
    buf_u16(&b, 1);
    buf_u8(&b, TYPE_COUNT);
    struct reader r;
    const uint8_t *types;
    uint16_t n;
    reader_init(&r, b.data, b.bytes);
    assert_false(wire_read_parameters(&r, &types, &n));
    buf_fini(&b);
}

static void describe_of_neither_statement_nor_portal_is_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_NETWORK, 64);
    buf_u8(&b, 'x');
    buf_str(&b, "p", 1);
    struct reader r;
    char kind;
    struct wire_str name;
    reader_init(&r, b.data, b.bytes);
    assert_false(wire_read_named(&r, &kind, &name));
    buf_fini(&b);
}

static void an_error_field_longer_than_its_room_is_cut_not_overrun(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text);
    static const uint8_t fields[] = {FIELD_SEVERITY, FIELD_SQLSTATE,   FIELD_MESSAGE,
                                     FIELD_DETAIL,   FIELD_HINT,       FIELD_POSITION,
                                     FIELD_COLUMN,   FIELD_COLLECTION, FIELD_POLICY};
    struct buf b;
    buf_init(&b, MEM_NETWORK, 1 << 16);
    buf_u8(&b, COUNT_OF(fields) + 1);
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        buf_u8(&b, fields[i]);
        buf_str(&b, text, sizeof text);
    }
    buf_u8(&b, '~'); /* A field of a later minor version. */
    buf_str(&b, "new", 3);
    struct reader r;
    struct err err;
    struct wire_str severity, sqlstate;
    reader_init(&r, b.data, b.bytes);
    assert_true(wire_read_error(&r, &err, &severity, &sqlstate));
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_BYTES - 1);
    assert_int_equal(strlen(err.policy), ERR_NAME_BYTES - 1);
    assert_int_equal(err.position, 0);
    buf_fini(&b);
}

/* Not a fuzzer, but a net under every reader: random bytes never crash one. */
static void random_bytes_are_read_without_a_crash(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        size_t n = random_next(&seed) % sizeof bytes;
        uint8_t *exact = malloc(n + 1);
        assert_non_null(exact);
        for (size_t j = 0; j < n; j++) {
            exact[j] = (uint8_t)(random_next(&seed) % 4);
        }
        struct reader r;
        struct wire_startup startup;
        struct wire_parse_message prepare;
        struct wire_column column;
        struct wire_str a, b;
        struct err err;
        reader_init(&r, exact, n);
        (void)wire_read_startup(&r, &startup);
        reader_init(&r, exact, n);
        (void)wire_read_parse(&r, &prepare);
        reader_init(&r, exact, n);
        (void)wire_read_column(&r, &column);
        reader_init(&r, exact, n);
        (void)wire_read_error(&r, &err, &a, &b);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_and_no_other_length_of_it),
        cmocka_unit_test(a_frame_that_is_cut_asks_for_the_rest),
        cmocka_unit_test(a_frame_over_the_bound_is_told_from_its_header_alone),
        cmocka_unit_test(a_letter_finds_its_row_and_no_letter_stands_twice),
        cmocka_unit_test(a_full_buffer_fails_and_the_frame_is_not_patched),
        cmocka_unit_test(startup_of_another_major_version_gives_its_version_only),
        cmocka_unit_test(too_many_options_are_refused),
        cmocka_unit_test(types_that_do_not_exist_are_refused),
        cmocka_unit_test(describe_of_neither_statement_nor_portal_is_refused),
        cmocka_unit_test(an_error_field_longer_than_its_room_is_cut_not_overrun),
        cmocka_unit_test(random_bytes_are_read_without_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
