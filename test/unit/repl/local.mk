# Unit tests of src/repl: test_NAME.c, added to check_PROGRAMS and TESTS.
