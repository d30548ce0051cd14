/* Buffers and readers: what is written is read back, and nothing is read past the end. */
#include "test/unit/unit.h"

static void write_one_of_each(struct buf *b)
{
    static const float floats[] = {1.5f, -2.25f, 0.0f};
    buf_u8(b, 0xab);
    buf_u16(b, 0xbeef);
    buf_u32(b, 0xdeadbeef);
    buf_u64(b, UINT64_C(0x0123456789abcdef));
    buf_f32(b, 1.5f);
    buf_f64(b, -2.25);
    buf_varint(b, 300);
    buf_varint(b, UINT64_MAX);
    buf_str(b, "text", 4);
    buf_floats(b, floats, 3);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4096);
    write_one_of_each(&b);
    assert_false(b.failed);
    struct reader r;
    reader_init(&r, b.data, b.bytes);
    assert_int_equal(reader_u8(&r), 0xab);
    assert_int_equal(reader_u16(&r), 0xbeef);
    assert_int_equal(reader_u32(&r), 0xdeadbeef);
    assert_true(reader_u64(&r) == UINT64_C(0x0123456789abcdef));
    assert_true(reader_f32(&r) == 1.5f);
    assert_true(reader_f64(&r) == -2.25);
    assert_int_equal(reader_varint(&r), 300);
    assert_true(reader_varint(&r) == UINT64_MAX);
    uint32_t bytes;
    const char *text = reader_str(&r, &bytes);
    assert_int_equal(bytes, 4);
    assert_memory_equal(text, "text", 4);
    assert_true(reader_f32(&r) == 1.5f);
    assert_true(reader_f32(&r) == -2.25f);
    assert_true(reader_f32(&r) == 0.0f);
    assert_true(reader_done(&r));
    buf_fini(&b);
}

static void integers_are_little_endian(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 64);
    buf_u32(&b, 0x01020304);
    assert_memory_equal(b.data, "\x04\x03\x02\x01", 4);
    buf_fini(&b);
}

static void every_truncation_fails_the_reader(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4096);
    write_one_of_each(&b);
    for (size_t bytes = 0; bytes < b.bytes; bytes++) {
        struct reader r;
        reader_init(&r, b.data, bytes);
        uint32_t n;
        reader_u8(&r), reader_u16(&r), reader_u32(&r), reader_u64(&r);
        reader_f32(&r), reader_f64(&r), reader_varint(&r), reader_varint(&r);
        reader_str(&r, &n), reader_f32(&r), reader_f32(&r), reader_f32(&r);
        assert_true(r.failed);
        assert_int_equal(reader_u64(&r), 0);
    }
    buf_fini(&b);
}

static void a_varint_that_is_too_long_fails(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    struct reader r;
    reader_init(&r, bytes, sizeof(bytes));
    reader_varint(&r);
    assert_true(r.failed);
}

static void a_buffer_stops_at_its_limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 10);
    buf_u64(&b, 1);
    assert_false(b.failed);
    buf_u32(&b, 1);
    assert_true(b.failed && b.is_full);
    buf_u8(&b, 1);
    assert_int_equal(b.bytes, 8);
    buf_forgive(&b);
    assert_int_equal(b.bytes, 8);
    buf_u8(&b, 1);
    assert_false(b.failed || b.is_full);
    buf_reset(&b);
    assert_int_equal(b.bytes, 0);
    buf_u8(&b, 1);
    assert_false(b.failed);
    buf_fini(&b);
}

static void a_buffer_without_memory_is_not_called_full(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    struct buf b;
    buf_init(&b, MEM_GENERAL, 10);
    fault_arm(FAULT_MALLOC, 1, 1);
    buf_u64(&b, 1);
    fault_disarm_all();
    assert_true(b.failed && !b.is_full);
    buf_u8(&b, 1); /* Still failed: what follows a gap is not written. */
    assert_int_equal(b.bytes, 0);
    buf_fini(&b);
}

static void discard_keeps_what_follows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 100);
    buf_printf(&b, "%s", "abcdef");
    buf_discard(&b, 2);
    assert_int_equal(b.bytes, 4);
    assert_memory_equal(b.data, "cdef", 4);
    buf_fini(&b);
}

static void crc32c_gives_the_values_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
    assert_int_equal(crc32c(crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794e);
}

/* Long ones are summed in strands, pieces of a few bytes are not. */
static void crc32c_of_any_length_is_that_of_its_pieces(void **state)
{
    (void)state;
    static uint8_t bytes[6000];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(hash_u64(i) >> 13);
    }
    uint32_t in_pieces = 7;
    for (size_t n = 0; n < sizeof(bytes); n++) {
        assert_int_equal(crc32c(7, bytes, n), in_pieces);
        in_pieces = crc32c(in_pieces, bytes + n, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(every_truncation_fails_the_reader),
        cmocka_unit_test(a_varint_that_is_too_long_fails),
        cmocka_unit_test(a_buffer_stops_at_its_limit),
        cmocka_unit_test(a_buffer_without_memory_is_not_called_full),
        cmocka_unit_test(discard_keeps_what_follows),
        cmocka_unit_test(crc32c_gives_the_values_of_rfc_3720),
        cmocka_unit_test(crc32c_of_any_length_is_that_of_its_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
