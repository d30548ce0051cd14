/* Memory: figures by category, regions, and the n-th allocation that fails. */
#include "test/unit/unit.h"

#include <stdio.h>
#include <unistd.h>

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

/* ---- figures over many threads ---- */

enum {
    PASSERS = 300, /* More than have counters of their own. */
    PASSED_BYTES = 4096
};

static void allocate_one(void *arg)
{
    void **slot = arg;
    *slot = mem_alloc(MEM_OVERLAY, PASSED_BYTES);
    assert_non_null(*slot);
}

static void free_one(void *arg)
{
    void **slot = arg;
    mem_free(MEM_OVERLAY, *slot);
}

static void run_threads(void (*run)(void *arg), void **slots)
{
    struct err err;
    for (size_t i = 0; i < PASSERS; i++) {
        struct thread t;
        assert_int_equal(thread_start(&t, "passer", run, &slots[i], &err), ERR_OK);
        thread_join(&t);
    }
}

static void what_one_thread_allocates_another_may_free_and_no_byte_is_miscounted(void **state)
{
    (void)state;
    static void *slots[PASSERS];
    size_t before = mem_category_bytes(MEM_OVERLAY);
    run_threads(allocate_one, slots);
    assert_int_equal(mem_category_bytes(MEM_OVERLAY), before + PASSERS * PASSED_BYTES);
    for (size_t i = 0; i < PASSERS / 2; i++) {
        free_one(&slots[i]); /* This thread frees what it never allocated. */
        slots[i] = NULL;
    }
    run_threads(free_one, slots);
    assert_int_equal(mem_category_bytes(MEM_OVERLAY), before);
}

struct churn {
    _Atomic bool is_over;
    void *kept[16];
};

static void churn(void *arg)
{
    struct churn *c = arg;
    for (unsigned i = 0; i < 200000; i++) {
        void **slot = &c->kept[i % COUNT_OF(c->kept)];
        *slot = mem_realloc(MEM_LOG, *slot, 1 + i % 3000);
        assert_non_null(*slot);
    }
    for (size_t i = 0; i < COUNT_OF(c->kept); i++) {
        mem_free(MEM_LOG, c->kept[i]);
    }
    c->is_over = true;
}

static void a_figure_read_while_others_allocate_is_near_and_exact_when_they_are_done(void **state)
{
    (void)state;
    static struct churn churns[2];
    struct thread threads[2];
    struct err err;
    size_t before = mem_category_bytes(MEM_LOG);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(thread_start(&threads[i], "churn", churn, &churns[i], &err), ERR_OK);
    }
    while (!churns[0].is_over || !churns[1].is_over) {
        assert_in_range(mem_category_bytes(MEM_LOG), 0, before + (size_t)2 * 17 * 4096);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(mem_category_bytes(MEM_LOG), before);
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

static void a_small_region_takes_what_it_was_asked_for_and_no_huge_page(void **state)
{
    (void)state;
    struct mem_region region;
    size_t before = mem_resident_bytes();
    assert_true(mem_region_reserve(&region, MEM_VECTORS, 100));
    assert_true(mem_region_use(&region, 100));
    memset(region.base, 0x5a, 100);
    assert_in_range(mem_category_bytes(MEM_VECTORS), 100, 4096);
    mem_region_release(&region);
    assert_true(mem_region_reserve(&region, MEM_VECTORS, 64 << 20));
    assert_true(mem_region_use(&region, 100));
    memset(region.base, 0x5a, 100);
    assert_in_range(mem_category_bytes(MEM_VECTORS), 100, 4096);
    assert_true(mem_resident_bytes() < before + (1 << 20));
    mem_region_release(&region);
    assert_int_equal(mem_category_bytes(MEM_VECTORS), 0);
}

static void a_region_that_grows_from_small_to_large_keeps_every_byte(void **state)
{
    (void)state;
    struct mem_region region;
    size_t used = 1000;
    assert_true(mem_region_reserve(&region, MEM_VECTORS, used));
    for (size_t from = 0; used <= 64 << 20; used *= 2) {
        assert_true(used <= region.bytes_max || mem_region_grow(&region, used));
        assert_true(mem_region_use(&region, used));
        uint8_t *bytes = region.base;
        for (size_t i = from; i < used; i++) {
            assert_int_equal(bytes[i], 0);
            bytes[i] = (uint8_t)(i % 251);
        }
        for (size_t i = 0; i < used; i += 509) {
            assert_int_equal(bytes[i], i % 251);
        }
        from = used;
        assert_in_range(mem_category_bytes(MEM_VECTORS), used, used + used / 4 + 4096);
    }
    mem_region_release(&region);
    assert_int_equal(mem_category_bytes(MEM_VECTORS), 0);
}

/* What the kernel was advised about the mapping that holds @address ("hg": huge pages); false where
 * it does not tell. */
static bool read_advice(const void *address, char *out, size_t bytes)
{
    char line[512];
    bool is_inside = false, is_found = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f != NULL && !is_found && fgets(line, sizeof(line), f) != NULL) {
        unsigned long long from, to, at = (uintptr_t)address;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
            is_inside = from <= at && at < to;
        }
        is_found = is_inside && strncmp(line, "VmFlags:", 8) == 0;
    }
    snprintf(out, bytes, "%s", is_found ? line : "");
    if (f != NULL) {
        fclose(f);
    }
    return is_found;
}

static void a_region_that_grows_large_is_on_huge_pages_before_it_is_filled(void **state)
{
    (void)state;
    struct mem_region region;
    char advice[512];
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
        skip();
    }
    assert_true(mem_region_reserve(&region, MEM_VECTORS, 1 << 20));
    assert_true(mem_region_use(&region, 1 << 20));
    assert_true(mem_region_grow(&region, 64 << 20)); /* Copies what there is. */
    assert_true(read_advice(region.base, advice, sizeof(advice)));
    assert_non_null(strstr(advice, " hg"));
    mem_region_release(&region);
    assert_true(mem_region_reserve(&region, MEM_VECTORS, 64 << 20));
    assert_true(mem_region_use(&region, 100));
    assert_true(read_advice(region.base, advice, sizeof(advice)));
    assert_null(strstr(advice, " hg"));
    assert_true(mem_region_use(&region, 1 << 20));
    assert_true(read_advice(region.base, advice, sizeof(advice)));
    assert_non_null(strstr(advice, " hg"));
    mem_region_release(&region);
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
        cmocka_unit_test(what_one_thread_allocates_another_may_free_and_no_byte_is_miscounted),
        cmocka_unit_test(a_figure_read_while_others_allocate_is_near_and_exact_when_they_are_done),
        cmocka_unit_test(a_region_grows_and_keeps_its_content),
        cmocka_unit_test(a_small_region_takes_what_it_was_asked_for_and_no_huge_page),
        cmocka_unit_test(a_region_that_grows_from_small_to_large_keeps_every_byte),
        cmocka_unit_test(a_region_that_grows_large_is_on_huge_pages_before_it_is_filled),
        cmocka_unit_test(a_region_cannot_be_used_past_its_end),
        cmocka_unit_test(the_armed_allocation_fails_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
