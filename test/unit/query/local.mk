# Unit tests of src/query: test_NAME.c, added to check_PROGRAMS and TESTS.
QUERY_FIXTURE = test/unit/query/query_fixture.c test/unit/query/query_fixture.h
check_PROGRAMS += test/unit/query/test_statements
TESTS += test/unit/query/test_statements
test_unit_query_test_statements_SOURCES = test/unit/query/test_statements.c $(QUERY_FIXTURE)
test_unit_query_test_statements_CFLAGS = $(TEST_CFLAGS)
test_unit_query_test_statements_LDADD = $(QUERY_LIBS) $(CMOCKA_LIBS)
