/* What is written reads back; what is damaged, cut off or newer is refused and never trusted. */
#include "../unit.h"

#include <stdlib.h>

#include "shard/overlay_int.h"
#include "shard/row_int.h"

enum {
    MUTATIONS = 200000,
    N_COLUMNS = 9,
    DIM = 3,
};

static struct schema make_schema(enum value_type key)
{
    static const enum value_type types[N_COLUMNS] = {TYPE_TEXT, TYPE_INT,    TYPE_FLOAT,
                                                     TYPE_BOOL, TYPE_UUID,   TYPE_TIMESTAMP,
                                                     TYPE_JSON, TYPE_VECTOR, TYPE_TEXT};
    struct schema s = {.id = 1, .n_columns = N_COLUMNS};
    for (uint32_t i = 0; i < N_COLUMNS; i++) {
        s.columns[i].type = types[i];
        s.columns[i].name[0] = (char)('a' + i);
        s.columns[i].dim = DIM;
        s.columns[i].distance = DISTANCE_L2;
    }
    s.columns[0].type = key;
    return s;
}

/* A value of the type, or now and then NULL. */
static struct value random_value(enum value_type type, uint64_t *state, char text[64],
                                 float vector[DIM])
{
    struct value v = {.type = type};
    size_t bytes = random_next(state) % 64;
    switch (type) {
    case TYPE_BOOL:
        return value_bool(random_next(state) % 2 != 0);
    case TYPE_FLOAT:
        return value_float((double)(int64_t)random_next(state) / 7);
    case TYPE_UUID:
        for (int i = 0; i < UUID_BYTES; i++) {
            v.uuid[i] = (uint8_t)random_next(state);
        }
        return v;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        v.integer = (int64_t)(random_next(state) >> random_next(state) % 64);
        v.integer = random_next(state) % 2 == 0 ? v.integer : -1 - v.integer;
        return v;
    case TYPE_VECTOR:
        for (int i = 0; i < DIM; i++) {
            vector[i] = (float)(int32_t)random_next(state);
        }
        return value_vector(vector, DIM);
    default:
        for (size_t i = 0; i < bytes; i++) {
            text[i] = (char)('a' + random_next(state) % 26);
        }
        v.text.data = text;
        v.text.bytes = (uint32_t)bytes;
        return v;
    }
}

struct random_row {
    struct value values[N_COLUMNS];
    char texts[N_COLUMNS][64];
    float vector[DIM];
};

static void make_random_row(const struct schema *s, uint64_t *state, struct random_row *r)
{
    memset(r, 0, sizeof(*r));
    for (uint32_t i = 0; i < N_COLUMNS; i++) {
        bool is_null = i > 0 && random_next(state) % 4 == 0;
        r->values[i] = is_null ? value_null()
                               : random_value(s->columns[i].type, state, r->texts[i], r->vector);
    }
}

static struct slice store_row(const struct schema *s, const struct random_row *r, uint64_t number,
                              uint8_t *out, size_t bytes_max)
{
    struct buf body;
    buf_init(&body, MEM_GENERAL, 1 << 20);
    row_encode(&body, s, r->values);
    assert_false(body.failed);
    assert_true(body.bytes + ROW_CHECKSUM_BYTES <= bytes_max);
    row_store(out, number, (struct slice){body.data, body.bytes});
    size_t bytes = body.bytes + ROW_CHECKSUM_BYTES;
    buf_fini(&body);
    return (struct slice){out, bytes};
}

static void a_row_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct schema s = make_schema(TYPE_TEXT);
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    uint64_t chance = 1;
    for (uint64_t n = 0; n < 2000; n++) {
        struct random_row r;
        uint8_t stored[2048];
        struct value values[N_COLUMNS];
        struct err err = {0};
        make_random_row(&s, &chance, &r);
        struct slice slice = store_row(&s, &r, n, stored, sizeof(stored));
        struct shard_row row = {n, slice.data, slice.bytes};
        assert_int_equal(shard_row_decode(&s, &row, NULL, values, arena, &err), ERR_OK);
        for (int i = 0; i < N_COLUMNS; i++) {
            assert_int_equal(values[i].type, r.values[i].type);
            assert_int_equal(value_compare(&values[i], &r.values[i]), 0);
        }
        arena_reset(arena);
    }
    arena_free(arena);
}

static void a_row_takes_few_bytes_beyond_its_values(void **state)
{
    (void)state;
    struct schema s = {.id = 1, .n_columns = 2};
    s.columns[0].type = TYPE_TEXT;
    s.columns[1].type = TYPE_VECTOR;
    s.columns[1].dim = 100;
    static const float vector[100];
    struct value values[2] = {value_cstr("elephant"), value_vector(vector, 100)};
    struct buf body;
    buf_init(&body, MEM_GENERAL, 4096);
    row_encode(&body, &s, values);
    /* Nine such rows, each with 18 bytes of LMDB's, fit a page of 4,096 bytes with 16 of head. */
    assert_true(9 * (ROW_CHECKSUM_BYTES + body.bytes + 18) <= 4096 - 16);
    assert_true(ROW_CHECKSUM_BYTES + body.bytes <= 8 + 400 + 8);
    buf_fini(&body);
}

static void a_changed_bit_does_not_pass_the_checksum(void **state)
{
    (void)state;
    struct schema s = make_schema(TYPE_TEXT);
    struct random_row r;
    uint8_t stored[2048];
    uint64_t chance = 2;
    make_random_row(&s, &chance, &r);
    struct slice slice = store_row(&s, &r, 5, stored, sizeof(stored));
    struct value values[N_COLUMNS];
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    for (size_t bit = 0; bit < slice.bytes * 8; bit++) {
        struct err err = {0};
        stored[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct shard_row row = {5, stored, slice.bytes};
        assert_int_equal(shard_row_decode(&s, &row, NULL, values, arena, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.message, "row 5"));
        stored[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    struct err err = {0};
    struct shard_row elsewhere = {6, stored, slice.bytes};
    assert_int_equal(shard_row_decode(&s, &elsewhere, NULL, values, arena, &err), ERR_CORRUPT);
    for (size_t bytes = 0; bytes < slice.bytes; bytes++) {
        struct shard_row cut = {5, stored, bytes};
        assert_int_equal(shard_row_decode(&s, &cut, NULL, values, arena, &err), ERR_CORRUPT);
    }
    arena_free(arena);
}

static void a_row_of_a_newer_version_is_refused(void **state)
{
    (void)state;
    struct schema s = make_schema(TYPE_INT);
    struct slice columns[N_COLUMNS];
    struct err err = {0};
    static const uint8_t newer[] = {2, 0, 0, 0};
    assert_int_equal(row_split(&s, (struct slice){newer, sizeof(newer)}, columns, &err),
                     ERR_FORMAT_UNSUPPORTED);
}

static void mutate(uint8_t *data, size_t bytes, uint64_t *chance)
{
    for (uint64_t n = 1 + random_next(chance) % 3; n > 0; n--) {
        data[random_next(chance) % bytes] = (uint8_t)random_next(chance);
    }
}

/* Slices lie in the input; ASan and UBSan see the rest. */
static void a_damaged_body_never_leads_out_of_its_bytes(void **state)
{
    (void)state;
    struct schema s = make_schema(TYPE_TEXT);
    uint64_t chance = 3;
    for (int n = 0; n < MUTATIONS; n++) {
        struct random_row r;
        uint8_t stored[2048];
        make_random_row(&s, &chance, &r);
        struct slice slice = store_row(&s, &r, 1, stored, sizeof(stored));
        size_t bytes = slice.bytes - ROW_CHECKSUM_BYTES;
        uint8_t *body = malloc(bytes);
        assert_non_null(body);
        memcpy(body, stored + ROW_CHECKSUM_BYTES, bytes);
        mutate(body, bytes, &chance);
        size_t cut = random_next(&chance) % 4 == 0 ? random_next(&chance) % bytes : bytes;
        struct slice columns[N_COLUMNS];
        struct err err = {0};
        if (row_split(&s, (struct slice){body, cut}, columns, &err) == ERR_OK) {
            for (int i = 0; i < N_COLUMNS; i++) {
                bool is_inside = columns[i].bytes == 0 ||
                                 (columns[i].data >= body && columns[i].data < body + cut &&
                                  columns[i].bytes <= (size_t)(body + cut - columns[i].data));
                assert_true(columns[i].data == NULL || is_inside);
            }
        } else {
            assert_true(err.code == ERR_CORRUPT || err.code == ERR_FORMAT_UNSUPPORTED);
        }
        free(body);
    }
}

static int key_compare(const struct key *a, const struct key *b)
{
    size_t bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    int order = memcmp(a->data, b->data, bytes);
    return order != 0 ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static void keys_sort_as_their_values_and_read_back(void **state)
{
    (void)state;
    static const enum value_type types[] = {TYPE_INT, TYPE_TEXT, TYPE_UUID};
    uint64_t chance = 4;
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        for (int n = 0; n < 5000; n++) {
            char text[2][64];
            struct value v[2];
            struct key key[2];
            uint64_t label[2];
            for (int i = 0; i < 2; i++) {
                v[i] = random_value(types[t], &chance, text[i], NULL);
                key_encode(&v[i], &key[i]);
                struct value back;
                struct slice slice = {key[i].data, key[i].bytes};
                assert_true(key_is_valid(types[t], slice));
                key_decode(slice, &back);
                assert_int_equal(value_compare(&back, &v[i]), 0);
                label[i] = key_label(slice);
                assert_int_equal(label[i], shard_label_of_key(&v[i]));
            }
            int wanted = value_compare(&v[0], &v[1]);
            int order = key_compare(&key[0], &key[1]);
            assert_int_equal((order > 0) - (order < 0), (wanted > 0) - (wanted < 0));
            assert_true(wanted < 0 ? label[0] <= label[1] : label[0] >= label[1]);
            assert_true(types[t] != TYPE_INT || wanted == 0 || label[0] != label[1]);
        }
    }
}

/* ---- commands ---- */

static struct shard_command *make_command(const struct schema *s, uint64_t *chance)
{
    static const uint64_t all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct err err = {0};
    struct shard_command *c = shard_command_new(s, &err);
    assert_non_null(c);
    for (uint64_t n = 1 + random_next(chance) % 5; n > 0; n--) {
        struct random_row r;
        make_random_row(s, chance, &r);
        enum shard_op op = (enum shard_op)(random_next(chance) % (SHARD_DELETE + 1));
        assert_int_equal(shard_command_add(c, op, r.values, all, 77, &err), ERR_OK);
    }
    return c;
}

static enum errcode read_command(const struct schema *s, struct slice data, size_t *n_rows)
{
    struct command_reader reader;
    struct command_row row;
    struct err err = {0};
    *n_rows = 0;
    enum errcode code = command_open(&reader, s, data, &err);
    while (code == ERR_OK && reader.rows_left > 0) {
        code = command_next(&reader, &row, &err);
        *n_rows += code == ERR_OK;
    }
    return code;
}

static void a_command_reads_back_and_a_damaged_one_is_refused_or_read(void **state)
{
    (void)state;
    struct schema s = make_schema(TYPE_TEXT);
    uint64_t chance = 5;
    for (int n = 0; n < MUTATIONS / 10; n++) {
        struct shard_command *c = make_command(&s, &chance);
        size_t rows = shard_command_rows(c);
        size_t bytes;
        size_t read;
        uint8_t *data = command_take(c, &bytes);
        shard_command_free(c);
        assert_int_equal(read_command(&s, (struct slice){data, bytes}, &read), ERR_OK);
        assert_int_equal(read, rows);
        size_t cut = random_next(&chance) % bytes;
        enum errcode code = read_command(&s, (struct slice){data, cut}, &read);
        assert_int_equal(code, ERR_CORRUPT);
        mutate(data, bytes, &chance);
        code = read_command(&s, (struct slice){data, bytes}, &read);
        assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_FORMAT_UNSUPPORTED);
        mem_free(MEM_LOG, data);
    }
}

static void changes_read_back_and_damaged_ones_are_refused(void **state)
{
    (void)state;
    static const uint64_t deleted[] = {7, 3, 1000000, 999, UINT64_MAX};
    struct change change = {
        .first_row = 1u << 20, .n_rows = 300, .n_deleted = COUNT_OF(deleted), .deleted = deleted};
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    struct buf b;
    struct err err = {0};
    buf_init(&b, MEM_GENERAL, 4096);
    change_write(&b, &change);
    struct change back;
    assert_int_equal(change_read((struct slice){b.data, b.bytes}, 9, arena, &back, &err), ERR_OK);
    assert_int_equal(back.index, 9);
    assert_int_equal(back.first_row, change.first_row);
    assert_int_equal(back.n_rows, change.n_rows);
    assert_int_equal(back.n_deleted, change.n_deleted);
    assert_memory_equal(back.deleted, deleted, sizeof(deleted));
    for (size_t cut = 0; cut < b.bytes; cut++) {
        assert_int_equal(change_read((struct slice){b.data, cut}, 9, arena, &back, &err),
                         ERR_CORRUPT);
    }
    buf_fini(&b);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_reads_back_as_it_was_written),
        cmocka_unit_test(a_row_takes_few_bytes_beyond_its_values),
        cmocka_unit_test(a_changed_bit_does_not_pass_the_checksum),
        cmocka_unit_test(a_row_of_a_newer_version_is_refused),
        cmocka_unit_test(a_damaged_body_never_leads_out_of_its_bytes),
        cmocka_unit_test(keys_sort_as_their_values_and_read_back),
        cmocka_unit_test(a_command_reads_back_and_a_damaged_one_is_refused_or_read),
        cmocka_unit_test(changes_read_back_and_damaged_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
