PARSER_TESTS = \
    test/unit/parser/test_parse \
    test/unit/parser/test_parse_errors \
    test/unit/parser/test_print
if !THREADS_WATCHED
check_PROGRAMS += $(PARSER_TESTS)
TESTS += $(PARSER_TESTS)
endif
PARSER_SAME_TREE = test/unit/parser/same_tree.c test/unit/parser/same_tree.h
test_unit_parser_test_parse_SOURCES = \
    test/unit/parser/corpus.def test/unit/parser/test_parse.c $(PARSER_SAME_TREE)
test_unit_parser_test_parse_LDADD = $(PARSER_LIBS) $(CMOCKA_LIBS)
test_unit_parser_test_parse_errors_SOURCES = test/unit/parser/test_parse_errors.c
test_unit_parser_test_parse_errors_LDADD = $(PARSER_LIBS) $(CMOCKA_LIBS)
test_unit_parser_test_print_SOURCES = test/unit/parser/test_print.c $(PARSER_SAME_TREE)
test_unit_parser_test_print_LDADD = $(PARSER_LIBS) $(CMOCKA_LIBS)
