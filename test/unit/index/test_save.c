/* Checkpoints: what was saved comes back equal, and what was damaged is refused. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

enum {
    DIM = 12,
    N = 900
};

static float *points;

static int make_points(void **state)
{
    (void)state;
    points = points_new(SHAPE_CLUSTERED, N, DIM, 1);
    return 0;
}

static int drop_points(void **state)
{
    (void)state;
    free(points);
    return 0;
}

static struct index *make_graph(enum index_kind kind)
{
    struct index_config config = config_of(kind, DISTANCE_COSINE, DIM);
    struct index *index = index_make(&config);
    stage_rows(index, points, DIM, 0, N - 100, 90);
    for (uint64_t row = 0; row < N - 100; row += 9) {
        stage_delete(index, N - 100, row);
    }
    return index;
}

static struct stream save(struct index *index)
{
    struct stream s = {.data = NULL};
    struct err err = {0};
    assert_int_equal(index_save(index, stream_write, &s, &(uint32_t){0}, &err), ERR_OK);
    return s;
}

/* What follows the checkpoint in the log. */
static void go_on(struct index *index)
{
    stage_rows(index, points + (size_t)(N - 100) * DIM, DIM, N - 100, 100, 70);
    for (uint64_t row = 1; row < N; row += 13) {
        stage_delete(index, N, row);
    }
    advance_all(index, N, NULL);
}

static void a_loaded_graph_is_equal_and_grows_on_as_the_saved_one_does(void **state)
{
    (void)state;
    for (enum index_kind kind = INDEX_HNSW; kind <= INDEX_FLAT; kind++) {
        struct index *index = make_graph(kind);
        advance_all(index, N, NULL);
        struct stream s = save(index);
        struct index *loaded = index_make(&(struct index_config){.kind = kind,
                                                                 .distance = DISTANCE_COSINE,
                                                                 .dim = DIM,
                                                                 .m = 12,
                                                                 .ef_construction = 80,
                                                                 .seed = 99});
        struct err err;
        assert_int_equal(load(loaded, &s, &err), ERR_OK);
        assert_true(index_digest(loaded) == index_digest(index));
        assert_true(index_sequence(loaded) == index_sequence(index));
        assert_int_equal(index_count(loaded), index_count(index));
        struct stream again = save(loaded);
        assert_int_equal(again.bytes, s.bytes);
        assert_memory_equal(again.data, s.data, s.bytes);

        go_on(index);
        go_on(loaded);
        assert_true(index_digest(loaded) == index_digest(index));
        struct index_hit a[10], b[10];
        for (size_t i = 0; i < 20; i++) {
            assert_int_equal(find(index, INDEX_WALK, points + i * DIM, 10, 30, a), 10);
            assert_int_equal(find(loaded, INDEX_WALK, points + i * DIM, 10, 30, b), 10);
            for (size_t j = 0; j < COUNT_OF(a); j++) {
                assert_true(a[j].row == b[j].row && a[j].distance == b[j].distance);
            }
        }
        stream_fini(&s);
        stream_fini(&again);
        index_free(index);
        index_free(loaded);
    }
}

/* The log is replayed from the checkpoint's sequence; a call may have been linked in part. */
static void a_replay_from_any_point_before_the_checkpoint_changes_nothing_twice(void **state)
{
    (void)state;
    for (size_t rows_done = 1; rows_done < N; rows_done += 83) {
        struct index *index = make_graph(INDEX_HNSW);
        struct err err;
        size_t n_done;
        assert_int_equal(index_advance(index, rows_done, NULL, &n_done, &err), ERR_OK);
        struct stream s = save(index);
        struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
        struct index *loaded = index_make(&config);
        assert_int_equal(load(loaded, &s, &err), ERR_OK);
        stage_rows(loaded, points, DIM, 0, N - 100, 90);
        for (uint64_t row = 0; row < N - 100; row += 9) {
            stage_delete(loaded, N - 100, row);
        }
        go_on(loaded);
        go_on(index);
        assert_true(index_digest(loaded) == index_digest(index));
        assert_int_equal(index_count(loaded), index_count(index));
        stream_fini(&s);
        index_free(index);
        index_free(loaded);
    }
}

static void an_empty_index_can_be_saved_and_loaded(void **state)
{
    (void)state;
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_L2, DIM);
    struct index *index = index_make(&config), *loaded = index_make(&config);
    struct stream s = save(index);
    struct err err;
    assert_int_equal(load(loaded, &s, &err), ERR_OK);
    assert_int_equal(index_count(loaded), 0);
    stage_rows(loaded, points, DIM, 0, 10, 10);
    advance_all(loaded, 10, NULL);
    assert_int_equal(index_count(loaded), 10);
    stream_fini(&s);
    index_free(index);
    index_free(loaded);
}

static enum errcode try_load(const struct index_config *config, const uint8_t *data, size_t bytes)
{
    struct index *index = index_make(config);
    struct stream s = {.data = (uint8_t *)data, .bytes = bytes};
    struct err err;
    enum errcode code = load(index, &s, &err);
    index_free(index);
    return code;
}

static void a_truncated_checkpoint_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    struct index *index = make_graph(INDEX_HNSW);
    advance_all(index, N, NULL);
    struct stream s = save(index);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    assert_int_equal(try_load(&config, s.data, s.bytes), ERR_OK);
    for (size_t bytes = 0; bytes < s.bytes; bytes += bytes < 200 ? 1 : 97) {
        assert_int_equal(try_load(&config, s.data, bytes), ERR_CORRUPT);
    }
    stream_fini(&s);
    index_free(index);
}

static void a_checkpoint_with_one_wrong_bit_is_refused_wherever_it_is(void **state)
{
    (void)state;
    struct index *index = make_graph(INDEX_HNSW);
    advance_all(index, N, NULL);
    struct stream s = save(index);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    for (size_t at = 0; at < s.bytes; at += at < 200 ? 1 : 61) {
        uint8_t bit = (uint8_t)(1u << at % 8);
        s.data[at] ^= bit;
        assert_int_equal(try_load(&config, s.data, s.bytes), ERR_CORRUPT);
        s.data[at] ^= bit;
    }
    stream_fini(&s);
    index_free(index);
}

/* Every checksum is made right again, so that only what the loader checks itself stands between
 * the damage and the graph.  Damaged streams are refused, or are streams of some graph. */
static void mend_checksums(struct stream *s)
{
    enum {
        HEAD_AT = 16,
        HEAD_BYTES = 88, /* Without a centre. */
        END_BYTES = 12
    };
    le_put_u32(s->data + 12, crc32c(0, s->data, 12));
    uint32_t head_crc = crc32c(0, s->data + HEAD_AT, HEAD_BYTES - 4), all_crc = head_crc;
    le_put_u32(s->data + HEAD_AT + HEAD_BYTES - 4, head_crc);
    size_t at = HEAD_AT + HEAD_BYTES;
    for (uint32_t number = 0; at + END_BYTES < s->bytes; number++) {
        size_t bytes = le_get_u32(s->data + at) + sizeof(uint32_t);
        if (bytes > s->bytes - at - sizeof(uint32_t)) {
            return;
        }
        uint32_t crc = crc32c(head_crc + number, s->data + at, bytes);
        le_put_u32(s->data + at + bytes, crc);
        all_crc = crc32c(all_crc, s->data + at + bytes, sizeof(crc));
        at += bytes + sizeof(crc);
    }
    if (s->bytes - at == END_BYTES) {
        le_put_u32(s->data + at + 8, crc32c(all_crc, s->data + at + 4, sizeof(uint32_t)));
    }
}

static void damage_under_a_right_checksum_never_breaks_the_index(void **state)
{
    (void)state;
    struct index *index = make_graph(INDEX_HNSW);
    advance_all(index, N, NULL);
    struct stream s = save(index);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    uint8_t *good = malloc(s.bytes);
    assert_non_null(good);
    memcpy(good, s.data, s.bytes);
    uint64_t random = 5;
    size_t n_refused = 0;
    enum {
        ROUNDS = GOOD_MEASURE(3000, 600)
    };
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(s.data, good, s.bytes);
        size_t range = round % 2 == 0 ? 100 : s.bytes;
        for (int i = 0; i < 1 + round % 3; i++) {
            s.data[random_next(&random) % range] = (uint8_t)random_next(&random);
        }
        mend_checksums(&s);
        struct index *loaded = index_make(&config);
        struct err err;
        if (load(loaded, &s, &err) == ERR_OK) {
            /* A sweep reads every list. */
            for (uint64_t row = 0; row < N; row += 5) {
                stage_delete(loaded, UINT64_MAX, row);
            }
            advance_all(loaded, N, NULL);
        } else {
            assert_true(err.code == ERR_CORRUPT || err.code == ERR_FORMAT_UNSUPPORTED);
            n_refused++;
        }
        index_free(loaded);
    }
    assert_true(n_refused > ROUNDS / 3);
    free(good);
    stream_fini(&s);
    index_free(index);
}

enum {
    MANY_DIM = 4,
    N_MANY = 80000 /* More blocks than one batch of a load has. */
};

/* Some places are used a second time, so that row numbers do not only rise. */
static struct index *make_many(const struct index_config *config)
{
    struct index *index = index_make(config);
    float *many = points_new(SHAPE_UNIFORM, N_MANY, MANY_DIM, 4);
    stage_rows(index, many, MANY_DIM, 0, N_MANY - 1000, 1000);
    for (uint64_t row = 0; row < N_MANY / 2; row += 50) {
        stage_delete(index, N_MANY - 1000, row);
    }
    stage_rows(index, many + (size_t)(N_MANY - 1000) * MANY_DIM, MANY_DIM, N_MANY - 1000, 1000,
               500);
    free(many);
    return index;
}

static void many_blocks_are_decoded_by_a_crew_while_others_are_read(void **state)
{
    (void)state;
    struct index_config config = config_of(INDEX_FLAT, DISTANCE_L2, MANY_DIM);
    struct index *index = make_many(&config), *loaded = index_make(&config);
    struct stream s = save(index);
    struct index_source source = {.read = stream_read, .arg = &s, .bytes = s.bytes};
    struct err err;
    uint32_t digest;
    assert_int_equal(index_load(loaded, &source, &crew_of_threads, &digest, &err), ERR_OK);
    assert_int_equal(index_count(loaded), index_count(index));
    assert_true(index_digest(loaded) == index_digest(index));
    struct stream again = save(loaded);
    assert_int_equal(again.bytes, s.bytes);
    assert_memory_equal(again.data, s.data, s.bytes);
    for (uint64_t row = 1; row < N_MANY; row += 10000) { /* The row map knows them. */
        size_t n = index_count(loaded);
        stage_delete(loaded, N_MANY, row);
        assert_int_equal(index_count(loaded), n - 1);
    }
    stream_fini(&s);
    stream_fini(&again);
    index_free(index);
    index_free(loaded);
}

/* The number of the row at one of the first slots, in a stream of a flat index. */
static uint8_t *number_at(const struct stream *s, size_t slot)
{
    enum {
        KINDS_AT = 16 + 88 + 4,
        BLOCK_SLOTS = 1024
    };
    return s->data + KINDS_AT + BLOCK_SLOTS + slot * sizeof(uint64_t);
}

static void a_row_that_is_there_twice_is_refused_wherever_its_slots_are(void **state)
{
    (void)state;
    struct index_config config = config_of(INDEX_FLAT, DISTANCE_L2, MANY_DIM);
    struct index *index = index_make(&config);
    float *many = points_new(SHAPE_UNIFORM, N_MANY, MANY_DIM, 4);
    stage_rows(index, many, MANY_DIM, 0, 2000, 1000);
    struct stream s = save(index);
    for (size_t slot = 1; slot < 1000; slot += 37) {
        uint8_t *number = number_at(&s, slot);
        uint64_t others[] = {slot - 1, 0, slot + 1, 1500};
        assert_int_equal(le_get_u64(number), slot);
        for (size_t i = 0; i < COUNT_OF(others); i++) {
            struct index *loaded = index_make(&config);
            struct err err;
            le_put_u64(number, others[i]);
            mend_checksums(&s);
            assert_int_equal(load(loaded, &s, &err), ERR_CORRUPT);
            assert_string_equal(err.message, "the index checkpoint has a row twice");
            index_free(loaded);
        }
        le_put_u64(number, slot);
    }
    mend_checksums(&s);
    assert_int_equal(try_load(&config, s.data, s.bytes), ERR_OK);
    free(many);
    stream_fini(&s);
    index_free(index);
}

static void a_forged_number_of_slots_takes_no_memory(void **state)
{
    (void)state;
    enum {
        N_SLOTS_AT = 16 + 52
    };
    struct index *index = make_graph(INDEX_HNSW);
    advance_all(index, N, NULL);
    struct stream s = save(index);
    index_free(index);
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    assert_int_equal(le_get_u32(s.data + N_SLOTS_AT), N - 100);
    for (uint32_t n_slots = (uint32_t)s.bytes; n_slots < INT32_MAX - 1; n_slots += n_slots / 3) {
        le_put_u32(s.data + N_SLOTS_AT, n_slots);
        mend_checksums(&s);
        struct index *loaded = index_make(&config);
        size_t before = mem_category_bytes(MEM_GRAPH) + mem_category_bytes(MEM_CODES);
        struct err err;
        assert_int_equal(load(loaded, &s, &err), ERR_CORRUPT);
        assert_true(mem_category_bytes(MEM_GRAPH) + mem_category_bytes(MEM_CODES) <=
                    before + s.bytes);
        index_free(loaded);
    }
    stream_fini(&s);
}

static void a_checkpoint_of_other_parameters_or_of_a_newer_version_is_refused(void **state)
{
    (void)state;
    struct index *index = make_graph(INDEX_HNSW);
    advance_all(index, N, NULL);
    struct stream s = save(index);
    const struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    struct index_config other[6];
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        other[i] = config;
    }
    other[0].kind = INDEX_FLAT;
    other[1].distance = DISTANCE_L2;
    other[2].dim = DIM + 1;
    other[3].m = 16;
    other[4].ef_construction = 81;
    other[5].seed = 1;
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        assert_int_equal(try_load(&other[i], s.data, s.bytes), ERR_CORRUPT);
    }
    s.data[8]++;
    mend_checksums(&s);
    assert_int_equal(try_load(&config, s.data, s.bytes), ERR_FORMAT_UNSUPPORTED);
    stream_fini(&s);
    index_free(index);
}

static void a_failing_write_is_told_and_leaves_the_index_as_it_was(void **state)
{
    (void)state;
    struct index *index = make_graph(INDEX_HNSW);
    advance_all(index, N, NULL);
    uint64_t digest = index_digest(index);
    struct stream whole = save(index);
    for (size_t fail_at = 1; fail_at < whole.bytes; fail_at += 1 + whole.bytes / 50) {
        struct stream s = {.fail_at = fail_at};
        struct err err = {0};
        assert_int_equal(index_save(index, stream_write, &s, &(uint32_t){0}, &err), ERR_IO);
        stream_fini(&s);
    }
    assert_true(index_digest(index) == digest);
    stream_fini(&whole);
    index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_graph_is_equal_and_grows_on_as_the_saved_one_does),
        cmocka_unit_test(a_replay_from_any_point_before_the_checkpoint_changes_nothing_twice),
        cmocka_unit_test(an_empty_index_can_be_saved_and_loaded),
        cmocka_unit_test(a_truncated_checkpoint_is_refused_wherever_it_ends),
        cmocka_unit_test(a_checkpoint_with_one_wrong_bit_is_refused_wherever_it_is),
        cmocka_unit_test(damage_under_a_right_checksum_never_breaks_the_index),
        cmocka_unit_test(many_blocks_are_decoded_by_a_crew_while_others_are_read),
        cmocka_unit_test(a_row_that_is_there_twice_is_refused_wherever_its_slots_are),
        cmocka_unit_test(a_forged_number_of_slots_takes_no_memory),
        cmocka_unit_test(a_checkpoint_of_other_parameters_or_of_a_newer_version_is_refused),
        cmocka_unit_test(a_failing_write_is_told_and_leaves_the_index_as_it_was),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index checkpoints", tests, make_points, drop_points);
    index_thread_exit();
    return failed;
}
