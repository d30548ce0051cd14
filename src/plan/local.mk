noinst_LIBRARIES += src/plan/libplan.a
src_plan_libplan_a_SOURCES = \
    src/plan/analyze.c src/plan/analyze_int.h \
    src/plan/copy.c \
    src/plan/create.c \
    src/plan/cut.c src/plan/cut_int.h \
    src/plan/cut_select.c \
    src/plan/fragment.c \
    src/plan/insert.c \
    src/plan/modify.c \
    src/plan/operators.def \
    src/plan/plan.c src/plan/plan.h \
    src/plan/reindex.c \
    src/plan/search.c \
    src/plan/select.c \
    src/plan/set.c \
    src/plan/statement.c src/plan/statement.h \
    src/plan/view.c src/plan/views.def
PLAN_LIBS = src/plan/libplan.a src/expr/libexpr.a src/parser/libparser.a src/format/libformat.a $(PD_LIBS)
