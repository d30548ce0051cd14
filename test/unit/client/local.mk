# Unit tests of src/client: test_NAME.c, added to check_PROGRAMS and TESTS.
CLIENT_TESTS = test/unit/client/test_bench test/unit/client/test_cancel \
    test/unit/client/test_conninfo test/unit/client/test_exec test/unit/client/test_outcome \
    test/unit/client/test_pipeline test/unit/client/test_shell test/unit/client/test_terminal \
    test/unit/client/test_vbench test/unit/client/test_vsql
check_PROGRAMS += $(CLIENT_TESTS)
TESTS += $(CLIENT_TESTS)

FAKE_SERVER = test/unit/client/fake_server.c test/unit/client/fake_server.h src/base/thread.c

test_unit_client_test_outcome_SOURCES = test/unit/client/test_outcome.c $(FAKE_SERVER)
test_unit_client_test_outcome_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_cancel_SOURCES = test/unit/client/test_cancel.c $(FAKE_SERVER)
test_unit_client_test_cancel_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_conninfo_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_exec_SOURCES = test/unit/client/test_exec.c $(FAKE_SERVER)
test_unit_client_test_exec_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_pipeline_SOURCES = test/unit/client/test_pipeline.c $(FAKE_SERVER)
test_unit_client_test_pipeline_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_shell_LDADD = $(SHELL_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_bench_LDADD = $(BENCH_LIBS) $(CMOCKA_LIBS)

# Runs src/client/vsql of the build.
test_unit_client_test_vsql_SOURCES = test/unit/client/test_vsql.c $(FAKE_SERVER)
test_unit_client_test_vsql_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_terminal_SOURCES = test/unit/client/test_terminal.c $(FAKE_SERVER)
test_unit_client_test_terminal_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)

test_unit_client_test_vbench_SOURCES = test/unit/client/test_vbench.c $(FAKE_SERVER)
test_unit_client_test_vbench_LDADD = $(CLIENT_LIBS) $(CMOCKA_LIBS)
