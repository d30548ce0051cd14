# Unit tests of src/node: test_NAME.c, added to check_PROGRAMS and TESTS.
check_PROGRAMS += test/unit/node/test_node
TESTS += test/unit/node/test_node
test_unit_node_test_node_LDADD = $(NODE_LIBS) $(CMOCKA_LIBS)
