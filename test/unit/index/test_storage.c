/* Exact vectors in a storage: searches, checkpoints and failures are as with memory alone. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

enum {
    DIM = 256,
    N = 2200, /* More than INDEX_STORED_BYTES_MIN. */
    N_FIRST = 1100,
    STORE_BYTES = 4 << 20,
    PLACE_BYTES = DIM * 4,
};

/* A disk in memory, with what an index may rightly expect of one. */
struct disk {
    struct index_storage storage;
    uint8_t *data;
    size_t room, bytes_max; /* reserve fails with DISK_FULL above it. */
    bool fails_to_write;
    int n_releases;
    uint8_t *sealed; /* Places that nobody may write to, a byte for each. */
};

static enum errcode reserve(void *arg, size_t bytes, struct err *err)
{
    struct disk *d = arg;
    if (bytes > d->bytes_max) {
        return err_set(err, ERR_DISK_FULL, "the disk is full");
    }
    d->room = bytes > d->room ? bytes : d->room;
    return ERR_OK;
}

static const void *map(void *arg, size_t bytes)
{
    struct disk *d = arg;
    assert_true(bytes <= 2 * STORE_BYTES);
    return d->data;
}

static enum errcode put(void *arg, size_t at, const void *data, size_t bytes, struct err *err)
{
    struct disk *d = arg;
    assert_true(at + bytes <= d->room);
    if (d->fails_to_write) {
        return err_set(err, ERR_IO, "the disk fails");
    }
    for (size_t place = at / PLACE_BYTES; place * PLACE_BYTES < at + bytes; place++) {
        assert_false(d->sealed[place]);
    }
    memcpy(d->data + at, data, bytes);
    return ERR_OK;
}

static enum errcode get(void *arg, size_t at, void *data, size_t bytes, struct err *err)
{
    struct disk *d = arg;
    if (at + bytes > d->room) {
        return err_set(err, ERR_CORRUPT, "the disk ends there");
    }
    memcpy(data, d->data + at, bytes);
    return ERR_OK;
}

static void empty(void *arg)
{
    struct disk *d = arg;
    d->room = 0;
}

static void release(void *arg)
{
    struct disk *d = arg;
    d->n_releases++;
}

static void disk_init(struct disk *d, bool is_mapped)
{
    *d = (struct disk){.storage = {.arg = d,
                                   .reserve = reserve,
                                   .map = is_mapped ? map : NULL,
                                   .put = put,
                                   .get = get,
                                   .empty = empty,
                                   .release = release},
                       .data = calloc(2, STORE_BYTES),
                       .sealed = calloc(STORE_BYTES, 1),
                       .bytes_max = STORE_BYTES};
    assert_non_null(d->data);
    assert_non_null(d->sealed);
}

static void disk_fini(struct disk *d)
{
    free(d->data);
    free(d->sealed);
}

static float *points;

static int make_points(void **state)
{
    (void)state;
    points = points_new(SHAPE_CLUSTERED, N, DIM, 3);
    return 0;
}

static int drop_points(void **state)
{
    (void)state;
    free(points);
    return 0;
}

static const enum index_code codes[] = {INDEX_CODE_F32, INDEX_CODE_8, INDEX_CODE_4};

static struct index_config stored_config(enum index_code code, struct disk *d)
{
    struct index_config config = config_of(INDEX_HNSW, DISTANCE_COSINE, DIM);
    config.code = code;
    config.ef_construction = 16;
    config.storage = d == NULL ? NULL : &d->storage;
    return config;
}

static void advance(struct index *index)
{
    advance_all(index, N, &crew_of_threads);
}

static void stage_all(struct index *index, uint64_t first, size_t n)
{
    stage_rows(index, points + first * DIM, DIM, first, n, 100);
}

static void assert_same_answers(struct index *a, struct index *b)
{
    for (enum index_plan plan = INDEX_WALK; plan <= INDEX_EXACT; plan++) {
        for (size_t i = 0; i < 20; i++) {
            struct index_hit x[10], y[10];
            const float *query = points + i * 37 * DIM;
            assert_int_equal(find(a, plan, query, 10, 30, x), 10);
            assert_int_equal(find(b, plan, query, 10, 30, y), 10);
            for (size_t j = 0; j < COUNT_OF(x); j++) {
                assert_true(x[j].row == y[j].row);
                assert_true(x[j].distance == y[j].distance);
            }
        }
    }
}

static struct stream save(struct index *index)
{
    struct stream s = {.data = NULL};
    struct err err;
    uint32_t digest;
    assert_int_equal(index_save(index, stream_write, &s, &digest, &err), ERR_OK);
    return s;
}

static void answers_and_checkpoints_are_those_of_an_index_in_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(codes); i++) {
        struct disk d;
        disk_init(&d, i % 2 == 0);
        struct index_config plain_config = stored_config(codes[i / 2], NULL);
        struct index_config config = stored_config(codes[i / 2], &d);
        struct index *plain = index_make(&plain_config), *stored = index_make(&config);
        stage_all(plain, 0, N_FIRST);
        stage_all(stored, 0, N_FIRST);
        advance(plain);
        advance(stored);
        assert_true(d.room >= (size_t)N_FIRST * PLACE_BYTES);
        assert_true(index_digest(plain) == index_digest(stored));
        assert_same_answers(plain, stored);

        struct stream all = save(plain), rest = save(stored);
        assert_true(rest.bytes + (size_t)N_FIRST * DIM * 4 < all.bytes + (size_t)N_FIRST);
        index_free(stored);
        assert_int_equal(d.n_releases, 1);
        struct index *loaded = index_make(&config);
        struct err err;
        assert_int_equal(load(loaded, &rest, &err), ERR_OK);
        assert_true(index_digest(plain) == index_digest(loaded));
        stage_all(plain, N_FIRST, N - N_FIRST);
        stage_all(loaded, N_FIRST, N - N_FIRST);
        advance(plain);
        advance(loaded);
        assert_true(index_digest(plain) == index_digest(loaded));
        assert_same_answers(plain, loaded);
        stream_fini(&all);
        stream_fini(&rest);
        index_free(plain);
        index_free(loaded);
        disk_fini(&d);
    }
}

static void a_few_vectors_stay_in_memory_and_in_the_checkpoint(void **state)
{
    (void)state;
    struct disk d;
    disk_init(&d, true);
    struct index_config config = stored_config(INDEX_CODE_8, &d);
    struct index *index = index_make(&config);
    stage_all(index, 0, 1000);
    advance(index);
    assert_int_equal(d.room, 0);
    struct stream s = save(index);
    struct index *loaded = index_make(&config);
    struct err err;
    assert_int_equal(load(loaded, &s, &err), ERR_OK);
    assert_same_answers(index, loaded);
    stage_all(loaded, 1000, N - 1000); /* Now they are handed over. */
    stage_all(index, 1000, N - 1000);
    assert_true(d.room > 0);
    assert_same_answers(index, loaded);
    stream_fini(&s);
    index_free(index);
    index_free(loaded);
    disk_fini(&d);
}

static void seal_all(struct disk *d, size_t n)
{
    memset(d->sealed, 1, n);
}

/* A crash goes back to the checkpoint, whose vectors must be there still. */
static void places_that_a_checkpoint_names_are_not_written_before_another_is_durable(void **state)
{
    (void)state;
    struct disk d;
    disk_init(&d, true);
    struct index_config config = stored_config(INDEX_CODE_8, &d);
    struct index *index = index_make(&config);
    stage_all(index, 0, N_FIRST);
    advance(index);
    struct stream s = save(index);
    index_is_durable(index);
    seal_all(&d, N_FIRST);
    for (uint64_t row = 0; row < N_FIRST; row += 2) {
        stage_delete(index, N_FIRST, row);
    }
    advance(index);
    stage_all(index, N_FIRST, 500); /* put looks at the seals. */
    advance(index);
    struct index *loaded = index_make(&config);
    struct err err;
    assert_int_equal(load(loaded, &s, &err), ERR_OK);
    index_free(loaded);
    stream_fini(&s);

    s = save(index);
    stage_all(index, N_FIRST + 500, 200); /* Not durable yet. */
    index_is_durable(index);
    memset(d.sealed, 0, N_FIRST);
    size_t before = index_place_bytes(index, 0);
    stage_all(index, N_FIRST + 700, 300);
    assert_int_equal(index_place_bytes(index, 0), before); /* Free places do. */
    stream_fini(&s);
    index_free(index);
    disk_fini(&d);
}

static void an_emptied_index_gives_its_places_back_when_no_checkpoint_names_them(void **state)
{
    (void)state;
    struct disk d;
    disk_init(&d, true);
    struct index_config config = stored_config(INDEX_CODE_8, &d);
    struct index *index = index_make(&config);
    stage_all(index, 0, N_FIRST);
    advance(index);
    for (uint64_t row = 0; row < N_FIRST; row++) {
        stage_delete(index, N_FIRST, row);
    }
    advance(index);
    assert_int_equal(index_place_bytes(index, 0), (size_t)N_FIRST * PLACE_BYTES);
    struct stream s = save(index);
    index_is_durable(index);
    assert_int_equal(index_place_bytes(index, 0), 0);
    assert_int_equal(d.room, 0);
    struct index *again = index_make(&config);
    struct err err;
    assert_int_equal(load(again, &s, &err), ERR_OK); /* It names none of them. */
    assert_int_equal(index_place_bytes(again, 0), 0);
    stage_all(index, N_FIRST, 100);
    assert_int_equal(index_count(index), 100);
    stream_fini(&s);
    index_free(again);
    index_free(index);
    disk_fini(&d);
}

static void a_full_or_failing_disk_leaves_the_index_as_it_was(void **state)
{
    (void)state;
    struct disk d;
    disk_init(&d, true);
    struct index_config config = stored_config(INDEX_CODE_8, &d);
    struct index *index = index_make(&config);
    struct err err;
    uint64_t number = N_FIRST;
    stage_all(index, 0, N_FIRST);
    d.bytes_max = d.room;
    assert_int_equal(stage(index, N, &number, points, 1, &err), ERR_DISK_FULL);
    assert_int_equal(index_count(index), N_FIRST);
    d.bytes_max = STORE_BYTES;
    d.fails_to_write = true;
    assert_int_equal(stage(index, N, &number, points, 1, &err), ERR_IO);
    assert_int_equal(index_count(index), N_FIRST);
    d.fails_to_write = false;
    size_t places = index_place_bytes(index, 0);
    assert_int_equal(stage(index, N, &number, points, 1, &err), ERR_OK);
    assert_int_equal(index_count(index), N_FIRST + 1);
    assert_int_equal(index_place_bytes(index, 0), places); /* The failure leaves no hole. */
    index_free(index);
    disk_fini(&d);
}

static void a_vector_that_is_lost_or_another_is_noticed(void **state)
{
    (void)state;
    struct disk d;
    disk_init(&d, true);
    struct index_config config = stored_config(INDEX_CODE_8, &d);
    struct index *index = index_make(&config);
    stage_all(index, 0, N_FIRST);
    advance(index);
    struct stream s = save(index);
    index_free(index);
    for (size_t at = 0; at < (size_t)N_FIRST * PLACE_BYTES; at += 99991) {
        d.data[at] ^= 1;
        struct err err;
        struct index *loaded = index_make(&config);
        assert_int_equal(load(loaded, &s, &err), ERR_CORRUPT);
        index_free(loaded);
        d.data[at] ^= 1;
    }
    stream_fini(&s);
    disk_fini(&d);
}

static void a_checkpoint_with_vectors_elsewhere_wants_a_storage(void **state)
{
    (void)state;
    struct disk d;
    disk_init(&d, false);
    struct index_config config = stored_config(INDEX_CODE_4, &d);
    struct index_config without = stored_config(INDEX_CODE_4, NULL);
    struct index *index = index_make(&config), *loaded = index_make(&without);
    stage_all(index, 0, N_FIRST);
    advance(index);
    struct stream s = save(index);
    struct err err;
    assert_int_equal(load(loaded, &s, &err), ERR_CORRUPT);
    stream_fini(&s);
    index_free(index);
    index_free(loaded);
    disk_fini(&d);
}

static void a_forged_number_of_slots_does_not_enlarge_the_storage(void **state)
{
    (void)state;
    enum {
        HEAD_AT = 16,
        N_SLOTS_AT = HEAD_AT + 52,
        HEAD_CRC_AT = HEAD_AT + 72
    };
    struct disk d;
    disk_init(&d, false);
    struct index_config config = stored_config(INDEX_CODE_4, &d);
    struct index *index = index_make(&config), *loaded = index_make(&config);
    stage_all(index, 0, N_FIRST);
    advance(index);
    struct stream s = save(index);
    size_t room = d.room;
    struct err err;
    assert_int_equal(le_get_u32(s.data + N_SLOTS_AT), N_FIRST);
    le_put_u32(s.data + N_SLOTS_AT, N);
    le_put_u32(s.data + HEAD_CRC_AT, crc32c(0, s.data + HEAD_AT, HEAD_CRC_AT - HEAD_AT));
    assert_int_equal(load(loaded, &s, &err), ERR_CORRUPT);
    assert_int_equal(d.room, room);
    stream_fini(&s);
    index_free(index);
    index_free(loaded);
    disk_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_checkpoints_are_those_of_an_index_in_memory),
        cmocka_unit_test(a_few_vectors_stay_in_memory_and_in_the_checkpoint),
        cmocka_unit_test(places_that_a_checkpoint_names_are_not_written_before_another_is_durable),
        cmocka_unit_test(an_emptied_index_gives_its_places_back_when_no_checkpoint_names_them),
        cmocka_unit_test(a_full_or_failing_disk_leaves_the_index_as_it_was),
        cmocka_unit_test(a_vector_that_is_lost_or_another_is_noticed),
        cmocka_unit_test(a_checkpoint_with_vectors_elsewhere_wants_a_storage),
        cmocka_unit_test(a_forged_number_of_slots_does_not_enlarge_the_storage),
    };
    (void)index_choose_kernel(NULL);
    int failed = cmocka_run_group_tests_name("index storage", tests, make_points, drop_points);
    index_thread_exit();
    return failed;
}
