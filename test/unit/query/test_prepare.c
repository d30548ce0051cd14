/* Long texts, prepared on the pool: what comes of them, a cancel, a timeout, an owner that leaves.
 */
#include "query_fixture.h"

enum {
    N_TERMS = 20000
};

struct waiter {
    _Atomic unsigned wakes;
};

static void wake(void *arg)
{
    ((struct waiter *)arg)->wakes++;
}

/* "SELECT 1 WHERE 1 = 1 AND 1 = 1 ..." and @after. */
static struct statement_text long_text(struct buf *b, const char *after)
{
    buf_init(b, MEM_SESSION, SIZE_MAX);
    buf_printf(b, "SELECT 1 AS one WHERE 1 = 1");
    for (int i = 0; i < N_TERMS; i++) {
        buf_printf(b, " AND %d = %d", i, i);
    }
    buf_printf(b, "%s", after);
    assert_false(b->failed);
    assert_true(b->bytes > PREPARED_INLINE_BYTES);
    return (struct statement_text){.data = (const char *)b->data, .bytes = b->bytes};
}

static enum errcode prepare(struct client *c, const char *after, bool is_alone,
                            struct prepared **out, size_t *rest)
{
    struct waiter waiter = {0};
    struct buf held;
    struct statement_text text = long_text(&held, after);
    size_t bytes = text.bytes;
    struct preparing *preparing = preparing_begin(c->session, &text, is_alone, &held, &c->err);
    assert_non_null(preparing);
    preparing_start(preparing, wake, &waiter);
    uint64_t deadline = clock_micros() + PATIENCE_US;
    while (waiter.wakes == 0) {
        assert_true(clock_micros() < deadline);
        clock_sleep_micros(100);
    }
    assert_true(preparing_has_ended(preparing));
    enum errcode code = preparing_end(preparing, out, rest, &held, &c->err);
    assert_int_equal(held.bytes, bytes); /* It came back. */
    assert_int_equal(waiter.wakes, 1);
    buf_fini(&held);
    return code;
}

static void a_long_text_is_prepared_as_a_short_one(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct prepared *prepared;
    const struct result_column *columns;
    size_t rest;
    assert_int_equal(prepare(c, "; SELECT 2", false, &prepared, &rest), ERR_OK);
    assert_int_equal(prepared_columns(prepared, &columns), 1);
    assert_string_equal(columns[0].name, "one");
    prepared_free(prepared);
    assert_int_equal(prepare(c, "; /* nothing */", true, &prepared, &rest), ERR_OK);
    prepared_free(prepared);
    assert_int_equal(prepare(c, "; SELECT 2", true, &prepared, &rest), ERR_SYNTAX);
    assert_null(prepared);
    assert_int_equal(prepare(c, " AND nowhere", false, &prepared, &rest), ERR_UNKNOWN_COLUMN);
    assert_null(prepared);
}

static void prepared_statements_of_a_session_share_a_bound(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct prepared *kept[16];
    size_t n = 0, rest;
    enum errcode code = ERR_OK;
    expect_ok(c, "SET statement_memory = '64MiB'"); /* A few times what one takes. */
    while (n < COUNT_OF(kept) && code == ERR_OK) {
        code = prepare(c, "", true, &kept[n], &rest);
        n += code == ERR_OK ? 1 : 0;
    }
    assert_int_equal(code, ERR_OUT_OF_MEMORY);
    assert_string_equal(c->err.policy, "statement_memory");
    assert_true(n > 1);
    prepared_free(kept[--n]);
    assert_int_equal(prepare(c, "", true, &kept[n], &rest), ERR_OK); /* There is room again. */
    for (size_t i = 0; i <= n; i++) {
        prepared_free(kept[i]);
    }
    expect_ok(c, "SET statement_memory = '1MiB'"); /* Less than one takes. */
    assert_int_equal(prepare(c, "", true, &kept[0], &rest), ERR_OUT_OF_MEMORY);
    assert_string_equal(c->err.policy, "statement_memory");
}

static void a_timeout_ends_a_long_preparation(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    struct prepared *prepared;
    size_t rest;
    expect_ok(c, "SET timeout = '1us'");
    assert_int_equal(prepare(c, "", false, &prepared, &rest), ERR_TIMEOUT);
    assert_null(prepared);
    assert_string_equal(c->err.policy, "timeout");
}

/* The pool may be done before the cancel comes, but not each time. */
static void a_cancel_ends_it_and_an_owner_may_leave(void **state)
{
    struct fixture *f = *state;
    unsigned n_canceled = 0;
    for (int i = 0; i < 40; i++) {
        static struct waiter waiter;
        struct buf held;
        struct prepared *prepared;
        size_t rest;
        struct client other;
        client_init(&other, f->db, 100);
        struct statement_text text = long_text(&held, "");
        struct preparing *preparing =
            preparing_begin(other.session, &text, false, &held, &other.err);
        waiter.wakes = 0;
        preparing_start(preparing, wake, &waiter);
        if (i % 2 == 0) {
            preparing_abandon(preparing);
            unsigned wakes = waiter.wakes;
            client_fini(&other);
            assert_int_equal(waiter.wakes, wakes); /* Nobody is woken who has left. */
            continue;
        }
        query_session_cancel(other.session);
        while (!preparing_has_ended(preparing)) {
            clock_sleep_micros(100);
        }
        enum errcode code = preparing_end(preparing, &prepared, &rest, &held, &other.err);
        assert_true(code == ERR_OK || code == ERR_CANCELED);
        n_canceled += code == ERR_CANCELED ? 1 : 0;
        prepared_free(prepared);
        buf_fini(&held);
        client_fini(&other);
    }
    assert_true(n_canceled > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_text_is_prepared_as_a_short_one),
        TEST(prepared_statements_of_a_session_share_a_bound),
        TEST(a_timeout_ends_a_long_preparation),
        TEST(a_cancel_ends_it_and_an_owner_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
