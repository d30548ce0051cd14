noinst_LIBRARIES += src/parser/libparser.a
src_parser_libparser_a_SOURCES = \
    src/parser/build.c \
    src/parser/build_stmt.c \
    src/parser/escape.c \
    src/parser/fail.c \
    src/parser/habit.c src/parser/habits.def \
    src/parser/keyword.c src/parser/keywords.def \
    src/parser/lexer.c \
    src/parser/literal.c \
    src/parser/parse.c \
    src/parser/parser.h src/parser/parser_int.h src/parser/tree.h \
    src/parser/print.c
nodist_src_parser_libparser_a_SOURCES = src/parser/grammar.c
PARSER_LIBS = src/parser/libparser.a $(BASE_LIBS)

# Lemon writes the header, with the tokens' numbers, together with the parser.  -c: no default
# reductions, so that a fault is met before another rule is taken, and its hint knows every token
# that could have stood there.
EXTRA_DIST += src/parser/grammar.y
CLEANFILES += src/parser/grammar.c src/parser/grammar.h
src/parser/grammar.c: $(srcdir)/src/parser/grammar.y
	@$(MKDIR_P) src/parser
	$(AM_V_GEN)$(LEMON) -c -q -l -dsrc/parser $(srcdir)/src/parser/grammar.y
src/parser/grammar.h: src/parser/grammar.c
	@test -f $@ && touch $@
src/parser/escape.$(OBJEXT) src/parser/fail.$(OBJEXT) src/parser/keyword.$(OBJEXT) src/parser/lexer.$(OBJEXT) \
    src/parser/literal.$(OBJEXT): src/parser/grammar.h
