/* Memory: figures by category, regions, and the n-th allocation that fails. */
#include "test/unit/unit.h"

static void a_category_counts_what_it_handed_out(void **state)
{
    (void)state;
    size_t before = mem_category_bytes(MEM_GRAPH);
    void *p = mem_alloc(MEM_GRAPH, 1000000);
    assert_non_null(p);
    memset(p, 1, 1000000);
    assert_true(mem_category_bytes(MEM_GRAPH) >= before + 1000000);
    p = mem_realloc(MEM_GRAPH, p, 3000000);
    assert_true(mem_category_bytes(MEM_GRAPH) >= before + 3000000);
    mem_free(MEM_GRAPH, p);
    assert_int_equal(mem_category_bytes(MEM_GRAPH), before);
}

static void a_region_grows_and_keeps_its_content(void **state)
{
    (void)state;
    struct mem_region region;
    assert_true(mem_region_reserve(&region, MEM_VECTORS, 3 << 20));
    assert_true(mem_region_use(&region, 1 << 20));
    memset(region.base, 0x5a, 1 << 20);
    assert_true(mem_category_bytes(MEM_VECTORS) >= 1 << 20);
    assert_true(mem_region_grow(&region, 64 << 20));
    assert_true(mem_region_use(&region, 60 << 20));
    const uint8_t *bytes = region.base;
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(bytes[(1 << 20) - 1], 0x5a);
    assert_int_equal(bytes[(60 << 20) - 1], 0);
    mem_region_release(&region);
    assert_int_equal(mem_category_bytes(MEM_VECTORS), 0);
}

static void a_region_cannot_be_used_past_its_end(void **state)
{
    (void)state;
    struct mem_region region;
    assert_true(mem_region_reserve(&region, MEM_VECTORS, 2 << 20));
    assert_false(mem_region_use(&region, (2 << 20) + 1));
    mem_region_release(&region);
}

static void the_armed_allocation_fails_and_no_other(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    fault_arm(FAULT_MALLOC, 3, 2);
    for (int call = 1; call <= 6; call++) {
        void *p = mem_alloc(MEM_GENERAL, 10);
        assert_int_equal(p == NULL, call == 3 || call == 4);
        mem_free(MEM_GENERAL, p);
    }
    assert_int_equal(fault_calls(FAULT_MALLOC), 6);
    assert_true(fault_arm_from_text("MALLOC:1,LOG_COMMIT:2:3"));
    assert_null(mem_alloc(MEM_GENERAL, 10));
    assert_false(fault_arm_from_text("NOTHING:1"));
    assert_false(fault_arm_from_text("MALLOC:0"));
    fault_disarm_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_category_counts_what_it_handed_out),
        cmocka_unit_test(a_region_grows_and_keeps_its_content),
        cmocka_unit_test(a_region_cannot_be_used_past_its_end),
        cmocka_unit_test(the_armed_allocation_fails_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
