# Unit tests of src/shard: test_NAME.c, added to check_PROGRAMS and TESTS.
SHARD_TEST_LIBS = $(SHARD_LIBS) $(CMOCKA_LIBS)
SHARD_FIXTURE = test/unit/shard/fixture.c test/unit/shard/fixture.h
# Tests of one thread, or of records that outlive a process: a build that watches threads learns
# nothing from them, and takes minutes.
shard_serial_tests = \
    test/unit/shard/test_codecs \
    test/unit/shard/test_curve \
    test/unit/shard/test_missed \
    test/unit/shard/test_pages \
    test/unit/shard/test_queries \
    test/unit/shard/test_remember \
    test/unit/shard/test_tally
shard_tests = \
    test/unit/shard/test_faults \
    test/unit/shard/test_measure \
    test/unit/shard/test_payload \
    test/unit/shard/test_recovery \
    test/unit/shard/test_reindex \
    test/unit/shard/test_search \
    test/unit/shard/test_store \
    test/unit/shard/test_vector_file \
    test/unit/shard/test_views \
    test/unit/shard/test_writes
if !THREADS_WATCHED
check_PROGRAMS += $(shard_serial_tests)
TESTS += $(shard_serial_tests)
endif
check_PROGRAMS += $(shard_tests)
TESTS += $(shard_tests)
test_unit_shard_test_codecs_SOURCES = test/unit/shard/test_codecs.c
test_unit_shard_test_codecs_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_curve_SOURCES = test/unit/shard/test_curve.c
test_unit_shard_test_curve_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_faults_SOURCES = test/unit/shard/test_faults.c $(SHARD_FIXTURE)
test_unit_shard_test_faults_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_missed_SOURCES = test/unit/shard/test_missed.c
test_unit_shard_test_missed_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_pages_SOURCES = test/unit/shard/test_pages.c $(SHARD_FIXTURE)
test_unit_shard_test_pages_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_measure_SOURCES = test/unit/shard/test_measure.c $(SHARD_FIXTURE) \
    test/unit/index/forget.c test/unit/index/forget.h
test_unit_shard_test_measure_CFLAGS = $(TEST_CFLAGS)
test_unit_shard_test_measure_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_payload_SOURCES = test/unit/shard/test_payload.c $(SHARD_FIXTURE)
test_unit_shard_test_payload_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_queries_SOURCES = test/unit/shard/test_queries.c
test_unit_shard_test_queries_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_recovery_SOURCES = test/unit/shard/test_recovery.c $(SHARD_FIXTURE)
test_unit_shard_test_recovery_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_reindex_SOURCES = test/unit/shard/test_reindex.c $(SHARD_FIXTURE)
test_unit_shard_test_reindex_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_search_SOURCES = test/unit/shard/test_search.c $(SHARD_FIXTURE)
test_unit_shard_test_search_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_store_SOURCES = test/unit/shard/test_store.c $(SHARD_FIXTURE)
test_unit_shard_test_store_CFLAGS = $(TEST_CFLAGS) $(LMDB_CFLAGS)
test_unit_shard_test_store_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_vector_file_SOURCES = test/unit/shard/test_vector_file.c $(SHARD_FIXTURE)
test_unit_shard_test_vector_file_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_views_SOURCES = test/unit/shard/test_views.c $(SHARD_FIXTURE)
test_unit_shard_test_views_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_writes_SOURCES = test/unit/shard/test_writes.c $(SHARD_FIXTURE)
test_unit_shard_test_writes_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_remember_SOURCES = test/unit/shard/test_remember.c $(SHARD_FIXTURE)
test_unit_shard_test_remember_LDADD = $(SHARD_TEST_LIBS)
test_unit_shard_test_tally_SOURCES = test/unit/shard/test_tally.c
test_unit_shard_test_tally_LDADD = $(SHARD_TEST_LIBS)
