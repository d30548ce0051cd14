/* A shard's file whose pages are damaged is refused, or has all that it had: it never ends the
 * process, and no row is missing in silence.  Each page in turn, in each of several ways. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/store_int.h"

enum {
    PAGE_BYTES = 4096,
    PAGES_MAX = 512,
    N_ROWS = 3000,
    VALUE_BYTES = 150,
    LARGE_BYTES = 9000, /* On pages of its own. */
    LARGE_EVERY = 500,
    DELETED_EVERY = 3,
};

static uint8_t good[PAGES_MAX][PAGE_BYTES];

static enum errcode try_open(struct fixture *f, struct store_pool *pool, struct store **out,
                             struct err *err)
{
    char path[4096];
    fixture_path(f, "store", path, sizeof(path));
    struct store_config config = {path, f->schema.id, GROUP, pool};
    return store_open(&config, out, err);
}

static size_t bytes_of(uint64_t row)
{
    return row % LARGE_EVERY == 0 ? LARGE_BYTES : VALUE_BYTES;
}

static void put_rows(struct store *store)
{
    static uint8_t value[LARGE_BYTES];
    struct err err = {0};
    struct store_write *write;
    assert_int_equal(store_write_begin(store, N_ROWS * LARGE_BYTES, &write, &err), ERR_OK);
    for (uint64_t i = 1; i <= N_ROWS; i++) {
        memset(value, (int)(i % 251), sizeof(value));
        struct slice key = {(const uint8_t *)&i, sizeof(i)};
        assert_int_equal(
            store_append(write, TABLE_ROWS, i, (struct slice){value, bytes_of(i)}, &err), ERR_OK);
        assert_int_equal(store_put_key(write, key, i, &err), ERR_OK);
    }
    struct store_meta meta = {.applied = 1, .next_row = N_ROWS + 1, .rows = N_ROWS};
    assert_int_equal(store_commit(write, &meta, &err), ERR_OK);
    /* So that pages are free. */
    assert_int_equal(store_write_begin(store, 1000, &write, &err), ERR_OK);
    for (uint64_t i = 1; i <= N_ROWS / 2; i += DELETED_EVERY) {
        assert_int_equal(store_delete(write, TABLE_ROWS, i, &err), ERR_OK);
    }
    for (uint64_t i = N_ROWS / 2; i <= N_ROWS; i++) {
        assert_int_equal(store_delete(write, TABLE_ROWS, i, &err), ERR_OK);
    }
    meta.applied = 2;
    assert_int_equal(store_commit(write, &meta, &err), ERR_OK);
}

static bool is_deleted(uint64_t row)
{
    return row >= N_ROWS / 2 || row % DELETED_EVERY == 1;
}

/* Reads to the end; every row that is there has its bytes' number. */
static void check_rows(struct store *store, const char *what)
{
    struct err err = {0};
    struct store_read *read = store_read_new(store, &err);
    assert_int_equal(store_read_begin(read, &err), ERR_OK);
    uint64_t number = 1;
    for (uint64_t i = 1; i <= N_ROWS; i++) {
        struct slice row;
        if (is_deleted(i)) {
            continue;
        }
        number = i;
        if (store_next(read, TABLE_ROWS, &number, &row, &err) != ERR_OK || row.data == NULL ||
            number != i || row.bytes != bytes_of(i)) {
            fail_msg("%s: row %llu is missing", what, (unsigned long long)i);
        }
    }
    store_read_end(read);
    store_read_free(read);
}

static size_t read_good(const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, good, sizeof(good));
    close(fd);
    assert_true(n > 0 && n % PAGE_BYTES == 0 && (size_t)n < sizeof(good));
    return (size_t)n / PAGE_BYTES;
}

static void write_pages(int fd, size_t at, const void *pages, size_t n)
{
    assert_int_equal(pwrite(fd, pages, n * PAGE_BYTES, (off_t)(at * PAGE_BYTES)),
                     (ssize_t)(n * PAGE_BYTES));
}

enum damage {
    ZEROS,
    ONES,
    ANOTHER,
    CUT_OFF,
    HEAD,
    OFFSETS,
    NODES,
    N_DAMAGES
};
static const char *const damage_names[] = {"zeros", "ones",    "another page", "cut off",
                                           "head",  "offsets", "nodes"};

static void do_damage(int fd, enum damage damage, size_t page, size_t n_pages, uint64_t *random)
{
    uint8_t bytes[PAGE_BYTES];
    memcpy(bytes, good[page], PAGE_BYTES);
    switch (damage) {
    case ZEROS:
    case ONES:
        memset(bytes, damage == ZEROS ? 0 : 0xFF, PAGE_BYTES);
        break;
    case ANOTHER:
        memcpy(bytes, good[2 + random_next(random) % (n_pages - 2)], PAGE_BYTES);
        break;
    case CUT_OFF:
        assert_int_equal(ftruncate(fd, (off_t)(page * PAGE_BYTES)), 0);
        return;
    case HEAD:
        bytes[random_next(random) % 16] ^= (uint8_t)(1U << random_next(random) % 8);
        break;
    case OFFSETS:
        bytes[16 + random_next(random) % 40] ^= (uint8_t)(1U << random_next(random) % 8);
        break;
    default: /* Two heads of nodes, or something between. */
        for (int i = 0; i < 2; i++) {
            uint16_t at = le_get_u16(bytes + 16 + 2 * (random_next(random) % 8));
            bytes[(at + random_next(random) % 8) % PAGE_BYTES] ^=
                (uint8_t)(1U << random_next(random) % 8);
        }
    }
    write_pages(fd, page, bytes, 1);
}

static void damaged_pages_are_refused_or_hide_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store *store;
    uint64_t random = 5;
    size_t n_refused[N_DAMAGES] = {0}, n_opened[N_DAMAGES] = {0};
    char path[4096];
    struct store_pool *pool = store_pool_new(&err);
    fixture_path(f, "store/data.mdb", path, sizeof(path));
    assert_int_equal(try_open(f, pool, &store, &err), ERR_OK);
    put_rows(store);
    store_close(store);
    size_t n_pages = read_good(path);
    for (size_t page = 2; page < n_pages; page++) {
        for (enum damage damage = 0; damage < N_DAMAGES; damage++) {
            int fd = open(path, O_RDWR);
            write_pages(fd, 0, good, n_pages);
            do_damage(fd, damage, page, n_pages, &random);
            close(fd);
            if (try_open(f, pool, &store, &err) == ERR_OK) {
                if (damage <= HEAD) { /* A record's bytes have checksums of their own. */
                    check_rows(store, damage_names[damage]);
                }
                store_close(store);
                n_opened[damage]++;
            } else if (err.code == ERR_CORRUPT) {
                n_refused[damage]++;
            } else {
                fail_msg("page %zu, %s: %s", page, damage_names[damage], err.message);
            }
        }
    }
    for (size_t i = 0; i < N_DAMAGES; i++) {
        print_message("%s: %zu refused, %zu opened\n", damage_names[i], n_refused[i], n_opened[i]);
        assert_true(n_refused[i] > 0);
    }
    store_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(damaged_pages_are_refused_or_hide_nothing, fixture_set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
