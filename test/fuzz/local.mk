# Fuzz targets.  With --enable-fuzz they are linked with libFuzzer, and `make fuzz-short` runs each
# for FUZZ_SECONDS; without it, replay.c feeds them the inputs that once broke them.
.PHONY: fuzz-short fuzz-targets
FUZZ_SECONDS = 10
EXTRA_DIST += test/fuzz/run test/fuzz/found
FUZZ_COMMON = test/fuzz/fuzz.h
FUZZ_PARSER = test/fuzz/fuzz_parser.c test/unit/parser/same_tree.c test/unit/parser/same_tree.h \
    $(FUZZ_COMMON)
FUZZ_WIRE = test/fuzz/fuzz_wire.c $(FUZZ_COMMON)
FUZZ_ROW = test/fuzz/fuzz_row.c $(FUZZ_COMMON)
FUZZ_SESSION = test/fuzz/fuzz_session.c test/unit/server/sim.c test/unit/server/sim.h \
    test/unit/server/fake_query.c test/unit/server/fake_query.h $(FUZZ_COMMON)
FUZZ_SESSION_CFLAGS = $(AM_CFLAGS) -I$(srcdir)/test/fuzz -I$(srcdir)/test/unit/server
FUZZ_SESSION_LIBS = src/server/libserver.a $(NET_LIBS)
FUZZ_INDEX = test/fuzz/fuzz_index.c test/fuzz/index_seed.h $(FUZZ_COMMON)

if FUZZ
noinst_PROGRAMS += test/fuzz/make_seeds test/fuzz/fuzz_parser test/fuzz/fuzz_wire \
    test/fuzz/fuzz_row test/fuzz/fuzz_index test/fuzz/fuzz_session
test_fuzz_make_seeds_SOURCES = test/fuzz/make_seeds.c test/fuzz/index_seed.h \
    test/unit/parser/corpus.def
test_fuzz_make_seeds_LDADD = $(PARSER_LIBS) $(NET_LIBS) $(INDEX_LIBS)
test_fuzz_fuzz_parser_SOURCES = $(FUZZ_PARSER)
test_fuzz_fuzz_parser_LDADD = $(PARSER_LIBS)
test_fuzz_fuzz_parser_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_wire_SOURCES = $(FUZZ_WIRE)
test_fuzz_fuzz_wire_LDADD = $(NET_LIBS)
test_fuzz_fuzz_wire_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_row_SOURCES = $(FUZZ_ROW)
test_fuzz_fuzz_row_LDADD = $(SHARD_LIBS)
test_fuzz_fuzz_row_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_session_SOURCES = $(FUZZ_SESSION)
test_fuzz_fuzz_session_CFLAGS = $(FUZZ_SESSION_CFLAGS)
test_fuzz_fuzz_session_LDADD = $(FUZZ_SESSION_LIBS)
test_fuzz_fuzz_session_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_index_SOURCES = $(FUZZ_INDEX)
test_fuzz_fuzz_index_LDADD = $(INDEX_LIBS)
test_fuzz_fuzz_index_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz-targets: $(noinst_PROGRAMS)
fuzz-short: fuzz-targets
	$(AM_V_at)$(top_srcdir)/test/fuzz/run --build . --seconds $(FUZZ_SECONDS)
else
FUZZ_REPLAYS = test/fuzz/replay_parser test/fuzz/replay_wire test/fuzz/replay_row \
    test/fuzz/replay_index test/fuzz/replay_session
check_PROGRAMS += $(FUZZ_REPLAYS)
TESTS += $(FUZZ_REPLAYS)
test_fuzz_replay_parser_SOURCES = $(FUZZ_PARSER) test/fuzz/replay.c
test_fuzz_replay_parser_LDADD = $(PARSER_LIBS)
test_fuzz_replay_wire_SOURCES = $(FUZZ_WIRE) test/fuzz/replay.c
test_fuzz_replay_wire_LDADD = $(NET_LIBS)
test_fuzz_replay_row_SOURCES = $(FUZZ_ROW) test/fuzz/replay.c
test_fuzz_replay_row_LDADD = $(SHARD_LIBS)
test_fuzz_replay_session_SOURCES = $(FUZZ_SESSION) test/fuzz/replay.c
test_fuzz_replay_session_CFLAGS = $(FUZZ_SESSION_CFLAGS)
test_fuzz_replay_session_LDADD = $(FUZZ_SESSION_LIBS)
test_fuzz_replay_index_SOURCES = $(FUZZ_INDEX) test/fuzz/replay.c
test_fuzz_replay_index_LDADD = $(INDEX_LIBS)

fuzz-short:
	@echo "make fuzz-short needs a build by clang with --enable-fuzz"; exit 1
endif
