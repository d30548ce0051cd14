# Unit tests of src/net: test_NAME.c, added to check_PROGRAMS and TESTS.
