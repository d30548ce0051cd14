/* Arenas: budget, reset, large requests. */
#include "test/unit/unit.h"

static void memory_of_an_arena_is_aligned_and_apart(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
    const uint8_t *last = NULL;
    for (size_t bytes = 0; bytes < 300; bytes++) {
        uint8_t *p = arena_alloc(arena, bytes);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_true(last != p);
        memset(p, (int)bytes, bytes);
        last = p;
    }
    arena_free(arena);
}

static void a_request_over_the_budget_fails_and_is_remembered(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MEM_GENERAL, 64 << 10);
    assert_non_null(arena_alloc(arena, 32 << 10));
    assert_false(arena_failed(arena));
    assert_null(arena_alloc(arena, 40 << 10));
    assert_true(arena_failed(arena));
    arena_reset(arena);
    assert_false(arena_failed(arena));
    assert_non_null(arena_alloc(arena, 40 << 10));
    arena_free(arena);
}

static void a_reset_gives_the_budget_back_whatever_was_allocated(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
    for (int round = 0; round < 50; round++) {
        assert_non_null(arena_alloc(arena, 100));
        assert_non_null(arena_alloc(arena, 200 << 10)); /* A block of its own. */
        assert_non_null(arena_alloc(arena, 3000));
        assert_non_null(arena_alloc(arena, 600 << 10));
        arena_reset(arena);
    }
    assert_true(arena_bytes(arena) <= 8192);
    arena_free(arena);
}

static void a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
    assert_null(arena_array(arena, SIZE_MAX / 2, 4));
    assert_null(arena_alloc(arena, SIZE_MAX));
    arena_free(arena);
}

static void texts_are_copied_and_ended(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
    assert_string_equal(arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_of_an_arena_is_aligned_and_apart),
        cmocka_unit_test(a_request_over_the_budget_fails_and_is_remembered),
        cmocka_unit_test(a_reset_gives_the_budget_back_whatever_was_allocated),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(texts_are_copied_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
