# Unit tests of src/server: test_NAME.c, added to check_PROGRAMS and TESTS.
SERVER_TESTS = test/unit/server/test_session
check_PROGRAMS += $(SERVER_TESTS)
TESTS += $(SERVER_TESTS)

# Against a query folder that does what the test wants, instead of the real one.
test_unit_server_test_session_SOURCES = \
    test/unit/server/test_session.c \
    test/unit/server/fake_query.c test/unit/server/fake_query.h
test_unit_server_test_session_CFLAGS = $(TEST_CFLAGS) -I$(srcdir)/test/unit/server
test_unit_server_test_session_LDADD = src/server/libserver.a $(NET_LIBS) $(CMOCKA_LIBS)
