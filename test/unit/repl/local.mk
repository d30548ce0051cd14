# Unit tests of src/repl: test_NAME.c, added to check_PROGRAMS and TESTS.
REPL_TEST_LIBS = $(REPL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += test/unit/repl/test_log
TESTS += test/unit/repl/test_log
test_unit_repl_test_log_SOURCES = test/unit/repl/test_log.c test/unit/repl/owner.c \
    test/unit/repl/owner.h
test_unit_repl_test_log_CFLAGS = $(TEST_CFLAGS)
test_unit_repl_test_log_LDADD = $(REPL_TEST_LIBS)
