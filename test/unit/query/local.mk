# Unit tests of src/query: test_NAME.c, added to check_PROGRAMS and TESTS.
