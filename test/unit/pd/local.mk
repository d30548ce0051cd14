# Unit tests of src/pd: test_NAME.c, added to check_PROGRAMS and TESTS.
check_PROGRAMS += test/unit/pd/test_map
TESTS += test/unit/pd/test_map
test_unit_pd_test_map_LDADD = $(PD_LIBS) $(CMOCKA_LIBS)
