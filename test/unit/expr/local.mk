# Unit tests of src/expr: test_NAME.c, added to check_PROGRAMS and TESTS.
EXPR_FIXTURE = test/unit/expr/expr_fixture.c test/unit/expr/expr_fixture.h
EXPR_TESTS = test/unit/expr/test_aggregates test/unit/expr/test_expr \
    test/unit/expr/test_functions test/unit/expr/test_value_table test/unit/expr/test_work
if !THREADS_WATCHED
check_PROGRAMS += $(EXPR_TESTS)
TESTS += $(EXPR_TESTS)
endif
test_unit_expr_test_aggregates_SOURCES = test/unit/expr/test_aggregates.c $(EXPR_FIXTURE)
test_unit_expr_test_aggregates_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
test_unit_expr_test_expr_SOURCES = test/unit/expr/test_expr.c $(EXPR_FIXTURE)
test_unit_expr_test_expr_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
test_unit_expr_test_functions_SOURCES = test/unit/expr/test_functions.c $(EXPR_FIXTURE)
test_unit_expr_test_functions_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
test_unit_expr_test_value_table_SOURCES = test/unit/expr/test_value_table.c
test_unit_expr_test_value_table_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
test_unit_expr_test_work_SOURCES = test/unit/expr/test_work.c
test_unit_expr_test_work_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
