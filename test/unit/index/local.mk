# Unit tests of src/index: test_NAME.c, added to check_PROGRAMS and TESTS.
INDEX_FIXTURE = test/unit/index/fixture.c test/unit/index/fixture.h
INDEX_TEST_LIBS = $(INDEX_LIBS) $(CMOCKA_LIBS)
# Tests of one thread, or of a crew that test_threads has too: a build that watches threads learns
# nothing from them, and takes minutes.
INDEX_SERIAL_TESTS = \
    test/unit/index/test_churn \
    test/unit/index/test_centre \
    test/unit/index/test_code \
    test/unit/index/test_exact \
    test/unit/index/test_graph \
    test/unit/index/test_reach \
    test/unit/index/test_recall \
    test/unit/index/test_save \
    test/unit/index/test_beam \
    test/unit/index/test_search \
    test/unit/index/test_shapes \
    test/unit/index/test_storage \
    test/unit/index/test_kernel \
    test/unit/index/test_starts \
    test/unit/index/test_trial \
    test/unit/index/test_unlink
INDEX_TESTS = \
    test/unit/index/test_faults \
    test/unit/index/test_threads
if !THREADS_WATCHED
check_PROGRAMS += $(INDEX_SERIAL_TESTS)
TESTS += $(INDEX_SERIAL_TESTS)
endif
check_PROGRAMS += $(INDEX_TESTS)
TESTS += $(INDEX_TESTS)
test_unit_index_test_churn_SOURCES = test/unit/index/test_churn.c $(INDEX_FIXTURE)
test_unit_index_test_churn_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_code_SOURCES = test/unit/index/test_code.c $(INDEX_FIXTURE)
test_unit_index_test_code_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_exact_SOURCES = test/unit/index/test_exact.c $(INDEX_FIXTURE)
test_unit_index_test_exact_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_graph_SOURCES = test/unit/index/test_graph.c $(INDEX_FIXTURE)
test_unit_index_test_graph_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_kernel_SOURCES = test/unit/index/test_kernel.c $(INDEX_FIXTURE)
test_unit_index_test_kernel_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_centre_SOURCES = test/unit/index/test_centre.c $(INDEX_FIXTURE)
test_unit_index_test_centre_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_reach_SOURCES = test/unit/index/test_reach.c $(INDEX_FIXTURE)
test_unit_index_test_reach_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_recall_SOURCES = test/unit/index/test_recall.c $(INDEX_FIXTURE)
test_unit_index_test_recall_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_save_SOURCES = test/unit/index/test_save.c $(INDEX_FIXTURE)
test_unit_index_test_save_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_storage_SOURCES = test/unit/index/test_storage.c $(INDEX_FIXTURE)
test_unit_index_test_storage_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_faults_SOURCES = test/unit/index/test_faults.c $(INDEX_FIXTURE)
test_unit_index_test_faults_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_threads_SOURCES = test/unit/index/test_threads.c $(INDEX_FIXTURE)
test_unit_index_test_threads_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_beam_SOURCES = test/unit/index/test_beam.c $(INDEX_FIXTURE)
test_unit_index_test_beam_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_search_SOURCES = test/unit/index/test_search.c $(INDEX_FIXTURE)
test_unit_index_test_search_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_shapes_SOURCES = test/unit/index/test_shapes.c $(INDEX_FIXTURE)
test_unit_index_test_shapes_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_trial_SOURCES = test/unit/index/test_trial.c $(INDEX_FIXTURE)
test_unit_index_test_trial_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_unlink_SOURCES = test/unit/index/test_unlink.c $(INDEX_FIXTURE)
test_unit_index_test_unlink_LDADD = $(INDEX_TEST_LIBS)
test_unit_index_test_starts_SOURCES = test/unit/index/test_starts.c $(INDEX_FIXTURE)
test_unit_index_test_starts_LDADD = $(INDEX_TEST_LIBS)
