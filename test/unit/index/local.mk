# Unit tests of src/index: test_NAME.c, added to check_PROGRAMS and TESTS.
