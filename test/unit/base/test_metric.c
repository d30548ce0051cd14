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
        cmocka_unit_test(the_export_names_every_row_with_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
