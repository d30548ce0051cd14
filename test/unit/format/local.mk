# Unit tests of src/format: test_NAME.c.
FORMAT_TESTS = \
    test/unit/format/test_csv \
    test/unit/format/test_rows
if !THREADS_WATCHED
check_PROGRAMS += $(FORMAT_TESTS)
TESTS += $(FORMAT_TESTS)
endif
test_unit_format_test_csv_SOURCES = test/unit/format/test_csv.c
test_unit_format_test_csv_LDADD = $(FORMAT_LIBS) $(CMOCKA_LIBS)
test_unit_format_test_rows_SOURCES = test/unit/format/test_rows.c
test_unit_format_test_rows_LDADD = $(FORMAT_LIBS) $(CMOCKA_LIBS)
