# Unit tests of src/net: test_NAME.c, added to check_PROGRAMS and TESTS.
NET_TESTS = \
    test/unit/net/test_wire \
    test/unit/net/test_loop \
    test/unit/net/test_listener \
    test/unit/net/test_conn
check_PROGRAMS += $(NET_TESTS)
TESTS += $(NET_TESTS)
# One thread, simulated.
if !THREADS_WATCHED
check_PROGRAMS += test/unit/net/test_conn_pairs
TESTS += test/unit/net/test_conn_pairs
endif
NET_TEST_LIBS = $(NET_LIBS) $(CMOCKA_LIBS)

test_unit_net_test_wire_SOURCES = test/unit/net/test_wire.c
test_unit_net_test_wire_LDADD = $(NET_TEST_LIBS)

test_unit_net_test_loop_SOURCES = test/unit/net/test_loop.c
test_unit_net_test_loop_LDADD = $(NET_TEST_LIBS)

test_unit_net_test_listener_SOURCES = test/unit/net/test_listener.c
test_unit_net_test_listener_LDADD = $(NET_TEST_LIBS)

test_unit_net_test_conn_SOURCES = test/unit/net/test_conn.c
test_unit_net_test_conn_LDADD = $(NET_TEST_LIBS)

test_unit_net_test_conn_pairs_SOURCES = test/unit/net/test_conn_pairs.c
test_unit_net_test_conn_pairs_LDADD = $(NET_TEST_LIBS)
