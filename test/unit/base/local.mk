# Unit tests of src/base: test_NAME.c, added to check_PROGRAMS and TESTS.
