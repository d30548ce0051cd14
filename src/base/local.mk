noinst_LIBRARIES += src/base/libbase.a
BASE_SOURCES = \
    src/base/arena.c src/base/arena.h \
    src/base/base.h \
    src/base/buf.c src/base/buf.h \
    src/base/check.c src/base/check.h \
    src/base/clock.c src/base/clock.h \
    src/base/crc32c.c \
    src/base/dir.c src/base/dir.h \
    src/base/err.c src/base/err.h src/base/errors.def \
    src/base/fault.c src/base/fault.h src/base/faults.def \
    src/base/json.c \
    src/base/log.c src/base/log.h \
    src/base/mem.c src/base/mem.h src/base/memory.def \
    src/base/metric.c src/base/metric.h src/base/metrics.def \
    src/base/pages.c src/base/pages.h \
    src/base/policy.c src/base/policy.h src/base/policies.def \
    src/base/schema.c src/base/schema.h \
    src/base/state.c src/base/state.h \
    src/base/thread.c src/base/thread.h \
    src/base/value.c src/base/value.h src/base/value_text.c src/base/types.def \
    src/base/number_text.c src/base/number_text.h \
    src/base/work.h
src_base_libbase_a_SOURCES = $(BASE_SOURCES)
src_base_libbase_a_CFLAGS = $(AM_CFLAGS) $(JEMALLOC_CFLAGS)
BASE_LIBS = src/base/libbase.a $(JEMALLOC_LIBS)
EXTRA_DIST += src/LAYERS src/base/README.md src/client/README.md src/expr/README.md \
    src/format/README.md src/index/README.md src/net/README.md src/node/README.md \
    src/parser/README.md src/pd/README.md src/plan/README.md src/query/README.md \
    src/repl/README.md src/server/README.md src/shard/README.md
