EXTRA_DIST += regress/run regress/make-data regress/schedule regress/filter.sed regress/sql regress/expected
EXTRA_DIST += test/install/run test/install/client.c test/lint/run \
    test/quickstart/run test/start/run

# Everything that make check would build, for builds that are only to compile.
.PHONY: check-programs
check-programs: $(check_PROGRAMS)

# Unit tests by folder; each links only its folder and those below it.
# check.sh counts the lines that cmocka prints.
EXTRA_DIST += test/unit/unit.h
# Of a test that wants more.
TEST_CFLAGS = $(AM_CFLAGS)
if HAVE_CMOCKA
include test/unit/base/local.mk
include test/unit/net/local.mk
include test/unit/parser/local.mk
include test/unit/format/local.mk
include test/unit/expr/local.mk
include test/unit/index/local.mk
include test/unit/repl/local.mk
include test/unit/shard/local.mk
include test/unit/pd/local.mk
include test/unit/plan/local.mk
include test/unit/node/local.mk
include test/unit/query/local.mk
include test/unit/server/local.mk
include test/unit/client/local.mk
else
# Tests that cannot be built are a failure, not a silence.
check-local:
	@echo "cmocka is missing: run tools/deps and configure again"; exit 1
endif

include test/abuse/local.mk
include test/crash/local.mk
include test/fuzz/local.mk
include test/sim/local.mk
