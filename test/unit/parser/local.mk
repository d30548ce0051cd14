PARSER_TESTS = \
    test/unit/parser/test_parse
check_PROGRAMS += $(PARSER_TESTS)
TESTS += $(PARSER_TESTS)
test_unit_parser_test_parse_SOURCES = \
    test/unit/parser/corpus.def \
    test/unit/parser/same_tree.c test/unit/parser/same_tree.h \
    test/unit/parser/test_parse.c
test_unit_parser_test_parse_CFLAGS = $(TEST_CFLAGS)
test_unit_parser_test_parse_LDADD = $(PARSER_LIBS) $(CMOCKA_LIBS)
