# Unit tests of src/parser: test_NAME.c, added to check_PROGRAMS and TESTS.
