noinst_LIBRARIES += src/parser/libparser.a
src_parser_libparser_a_SOURCES = src/parser/parser.h
PARSER_LIBS = src/parser/libparser.a $(BASE_LIBS)
