# Unit tests of src/shard: test_NAME.c, added to check_PROGRAMS and TESTS.
