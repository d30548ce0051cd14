# Unit tests of src/repl: test_NAME.c, added to check_PROGRAMS and TESTS.
REPL_TEST_LIBS = $(REPL_LIBS) $(CMOCKA_LIBS)
REPL_FIXTURE = test/unit/repl/log_fixture.c test/unit/repl/log_fixture.h
check_PROGRAMS += test/unit/repl/test_log test/unit/repl/test_failures \
    test/unit/repl/test_restart test/unit/repl/test_room test/unit/repl/test_events
TESTS += test/unit/repl/test_log test/unit/repl/test_failures test/unit/repl/test_restart \
    test/unit/repl/test_room test/unit/repl/test_events
test_unit_repl_test_log_SOURCES = test/unit/repl/test_log.c $(REPL_FIXTURE)
test_unit_repl_test_log_LDADD = $(REPL_TEST_LIBS)
test_unit_repl_test_failures_SOURCES = test/unit/repl/test_failures.c $(REPL_FIXTURE)
test_unit_repl_test_failures_LDADD = $(REPL_TEST_LIBS)
test_unit_repl_test_restart_SOURCES = test/unit/repl/test_restart.c $(REPL_FIXTURE)
test_unit_repl_test_restart_LDADD = $(REPL_TEST_LIBS)
test_unit_repl_test_room_SOURCES = test/unit/repl/test_room.c $(REPL_FIXTURE)
test_unit_repl_test_room_LDADD = $(REPL_TEST_LIBS)
test_unit_repl_test_events_SOURCES = test/unit/repl/test_events.c $(REPL_FIXTURE)
test_unit_repl_test_events_LDADD = $(REPL_TEST_LIBS)
