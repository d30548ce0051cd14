/* Metrics: counting, quantiles, and the exported text. */
#include "test/unit/unit.h"

static void a_quantile_lies_in_the_bucket_of_its_observation(void **state)
{
    (void)state;
    for (uint64_t us = 1; us <= 1000; us++) {
        metric_observe_us(METRIC_search, us);
    }
    uint64_t median = metric_quantile_us(METRIC_search, 0.5);
    assert_in_range(median, 400, 750);
    assert_in_range(metric_quantile_us(METRIC_search, 0.99), 900, 1500);
    assert_int_equal(metric_value(METRIC_search), 1000);
    assert_true(metric_sum_seconds(METRIC_search) > 0.4);
}

/* Bounds grow by turns by a third and by a half. */
static void an_observation_is_counted_below_the_first_bound_that_it_does_not_pass(void **state)
{
    (void)state;
    double bound = 1;
    size_t bucket = 0;
    for (uint64_t us = 0; us <= 40000; us++) {
        for (; (double)us > bound; bucket++) {
            double power = (double)(UINT64_C(1) << (bucket + 1) / 2);
            bound = bucket % 2 == 0 ? power * 4 / 3 : power;
        }
        metric_observe_us(METRIC_statement, us);
        assert_int_equal(metric_quantile_us(METRIC_statement, 1), (uint64_t)bound);
    }
    metric_observe_us(METRIC_statement, UINT64_MAX);
    assert_true(metric_quantile_us(METRIC_statement, 1) > UINT64_C(40) * 1000000);
}

static void the_export_names_every_row_with_its_type(void **state)
{
    (void)state;
    metric_add(METRIC_statements, 3);
    metric_set(METRIC_connections, 2);
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1 << 20);
    metric_export(&b);
    buf_u8(&b, 0);
    assert_false(b.failed);
    const char *text = (const char *)b.data;
    assert_non_null(strstr(text, "# TYPE vectrond_statements_total counter"));
    assert_non_null(strstr(text, "vectrond_statements_total 3\n"));
    assert_non_null(strstr(text, "vectrond_connections 2\n"));
    assert_non_null(strstr(text, "vectrond_search_seconds_bucket{le=\"+Inf\"}"));
    assert_non_null(strstr(text, "vectrond_memory_bytes{category=\"vectors\"}"));
    for (int id = 0; id < METRIC_COUNT; id++) {
        assert_non_null(strstr(text, metric_row((enum metric_id)id)->text));
    }
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quantile_lies_in_the_bucket_of_its_observation),
        cmocka_unit_test(an_observation_is_counted_below_the_first_bound_that_it_does_not_pass),
        cmocka_unit_test(the_export_names_every_row_with_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
