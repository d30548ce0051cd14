# Unit tests of src/server: test_NAME.c, added to check_PROGRAMS and TESTS.
SERVER_TESTS = \
    test/unit/server/test_config \
    test/unit/server/test_directory \
    test/unit/server/test_faults \
    test/unit/server/test_flight \
    test/unit/server/test_session \
    test/unit/server/test_statement
check_PROGRAMS += $(SERVER_TESTS)
TESTS += $(SERVER_TESTS)
# One thread, simulated.
if !THREADS_WATCHED
check_PROGRAMS += test/unit/server/test_pairs
TESTS += test/unit/server/test_pairs
endif

test_unit_server_test_config_SOURCES = test/unit/server/test_config.c
test_unit_server_test_config_LDADD = $(SERVER_LIBS) $(CMOCKA_LIBS)

test_unit_server_test_directory_SOURCES = test/unit/server/test_directory.c
test_unit_server_test_directory_LDADD = $(SERVER_LIBS) $(CMOCKA_LIBS)

# Against a query folder that does what the test wants, instead of the real one.
SCRIPT_SOURCES = \
    test/unit/server/fake_query.c test/unit/server/fake_query.h \
    test/unit/server/script.c test/unit/server/script.h
SCRIPT_LIBS = src/server/libserver.a $(NET_LIBS) $(CMOCKA_LIBS)

test_unit_server_test_flight_SOURCES = test/unit/server/test_flight.c $(SCRIPT_SOURCES)
test_unit_server_test_flight_LDADD = $(SCRIPT_LIBS)

test_unit_server_test_faults_SOURCES = test/unit/server/test_faults.c $(SCRIPT_SOURCES)
test_unit_server_test_faults_LDADD = $(SCRIPT_LIBS)

test_unit_server_test_session_SOURCES = test/unit/server/test_session.c $(SCRIPT_SOURCES)
test_unit_server_test_session_LDADD = $(SCRIPT_LIBS)

test_unit_server_test_statement_SOURCES = test/unit/server/test_statement.c $(SCRIPT_SOURCES)
test_unit_server_test_statement_LDADD = $(SCRIPT_LIBS)

SIM_SOURCES = test/unit/server/sim.c test/unit/server/sim.h \
    test/unit/server/fake_query.c test/unit/server/fake_query.h
test_unit_server_test_pairs_SOURCES = test/unit/server/test_pairs.c $(SIM_SOURCES)
test_unit_server_test_pairs_LDADD = $(SCRIPT_LIBS)
