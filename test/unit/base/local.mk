BASE_TESTS = \
    test/unit/base/test_arena \
    test/unit/base/test_buf \
    test/unit/base/test_dir \
    test/unit/base/test_err \
    test/unit/base/test_log \
    test/unit/base/test_mem \
    test/unit/base/test_metric \
    test/unit/base/test_policy \
    test/unit/base/test_schema \
    test/unit/base/test_thread \
    test/unit/base/test_value
check_PROGRAMS += $(BASE_TESTS)
TESTS += $(BASE_TESTS)
test_unit_base_test_arena_SOURCES = test/unit/base/test_arena.c
test_unit_base_test_arena_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_buf_SOURCES = test/unit/base/test_buf.c
test_unit_base_test_buf_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_dir_SOURCES = test/unit/base/test_dir.c
test_unit_base_test_dir_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_err_SOURCES = test/unit/base/test_err.c
test_unit_base_test_err_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_log_SOURCES = test/unit/base/test_log.c
test_unit_base_test_log_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_mem_SOURCES = test/unit/base/test_mem.c
test_unit_base_test_mem_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_metric_SOURCES = test/unit/base/test_metric.c
test_unit_base_test_metric_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_policy_SOURCES = test/unit/base/test_policy.c
test_unit_base_test_policy_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_schema_SOURCES = test/unit/base/test_schema.c
test_unit_base_test_schema_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_thread_SOURCES = test/unit/base/test_thread.c
test_unit_base_test_thread_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
test_unit_base_test_value_SOURCES = test/unit/base/test_value.c
test_unit_base_test_value_LDADD = $(BASE_LIBS) $(CMOCKA_LIBS)
