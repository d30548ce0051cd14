# Unit tests of src/pd: test_NAME.c, added to check_PROGRAMS and TESTS.
