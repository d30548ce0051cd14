# Unit tests of src/client: test_NAME.c, added to check_PROGRAMS and TESTS.
