noinst_LIBRARIES += src/expr/libexpr.a
src_expr_libexpr_a_SOURCES = \
    src/expr/compile.c \
    src/expr/expr.h src/expr/expr_int.h \
    src/expr/like.c \
    src/expr/names.c \
    src/expr/run.c \
    src/expr/set.c \
    src/expr/values.c
EXTRA_DIST += src/expr/README.md
EXPR_LIBS = src/expr/libexpr.a $(PARSER_LIBS)
