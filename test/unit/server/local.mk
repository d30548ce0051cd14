# Unit tests of src/server: test_NAME.c, added to check_PROGRAMS and TESTS.
