noinst_LIBRARIES += src/expr/libexpr.a
src_expr_libexpr_a_SOURCES = \
    src/expr/aggregate.c src/expr/aggregate.h src/expr/aggregate_int.h src/expr/aggregates.def \
    src/expr/cast.c \
    src/expr/compile.c src/expr/compile_int.h \
    src/expr/compile_call.c \
    src/expr/compile_case.c \
    src/expr/compile_code.c \
    src/expr/compile_group.c \
    src/expr/compile_operator.c \
    src/expr/compile_shape.c \
    src/expr/expr.h src/expr/expr_int.h \
    src/expr/function_number.c \
    src/expr/function_text.c \
    src/expr/function_time.c \
    src/expr/function_vector.c \
    src/expr/functions.c src/expr/functions.def src/expr/function_int.h \
    src/expr/letters.c \
    src/expr/like.c \
    src/expr/names.c \
    src/expr/run.c \
    src/expr/set.c \
    src/expr/value_table.c \
    src/expr/values.c
EXPR_LIBS = src/expr/libexpr.a $(PARSER_LIBS)
