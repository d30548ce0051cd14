# Unit tests of src/query: test_NAME.c, added to check_PROGRAMS and TESTS.
QUERY_FIXTURE = test/unit/query/query_fixture.c test/unit/query/query_fixture.h
check_PROGRAMS += test/unit/query/test_csv
TESTS += test/unit/query/test_csv
test_unit_query_test_csv_SOURCES = test/unit/query/test_csv.c
test_unit_query_test_csv_CFLAGS = $(TEST_CFLAGS)
test_unit_query_test_csv_LDADD = $(QUERY_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += test/unit/query/test_expr
TESTS += test/unit/query/test_expr
test_unit_query_test_expr_SOURCES = test/unit/query/test_expr.c
test_unit_query_test_expr_CFLAGS = $(TEST_CFLAGS)
test_unit_query_test_expr_LDADD = $(QUERY_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += test/unit/query/test_statements
TESTS += test/unit/query/test_statements
test_unit_query_test_statements_SOURCES = test/unit/query/test_statements.c $(QUERY_FIXTURE)
test_unit_query_test_statements_CFLAGS = $(TEST_CFLAGS)
test_unit_query_test_statements_LDADD = $(QUERY_LIBS) $(CMOCKA_LIBS)
