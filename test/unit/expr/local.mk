# Unit tests of src/expr: test_NAME.c, added to check_PROGRAMS and TESTS.
check_PROGRAMS += test/unit/expr/test_expr
if !THREADS_WATCHED
TESTS += test/unit/expr/test_expr
endif
test_unit_expr_test_expr_SOURCES = test/unit/expr/test_expr.c
test_unit_expr_test_expr_CFLAGS = $(TEST_CFLAGS)
test_unit_expr_test_expr_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += test/unit/expr/test_work
if !THREADS_WATCHED
TESTS += test/unit/expr/test_work
endif
test_unit_expr_test_work_SOURCES = test/unit/expr/test_work.c
test_unit_expr_test_work_CFLAGS = $(TEST_CFLAGS)
test_unit_expr_test_work_LDADD = $(EXPR_LIBS) $(CMOCKA_LIBS)
