# What bench/ adds to the build.
EXTRA_DIST += bench/data/make-words100 bench/data/make-sample bench/data/words.js bench/data/truth.c
EXTRA_PROGRAMS =

# The index against hnswlib: make bench-index [BENCH_WORDS=DIRECTORY].  Both sides are compiled with
# BENCH_FLAGS; ROWS, QUERIES and REPEATS make a shorter run.
BENCH_FLAGS = -O3 -march=native
BENCH_WORDS = $(abs_top_builddir)/data
ROWS = 331479
QUERIES = 10000
REPEATS = 3
BENCH_INDEX_SOURCES = bench/index_vs_hnswlib.c bench/peer.h bench/peer_hnswlib.cc
EXTRA_DIST += $(BENCH_INDEX_SOURCES)
.PHONY: bench-index
if HAVE_HNSWLIB
EXTRA_PROGRAMS += bench/index_vs_hnswlib
bench_index_vs_hnswlib_SOURCES = $(BENCH_INDEX_SOURCES) $(src_index_libindex_a_SOURCES)
# A CFLAGS of its own makes objects of its own: the library keeps the flags of the build.
bench_index_vs_hnswlib_CFLAGS = $(AM_CFLAGS)
bench_index_vs_hnswlib_CXXFLAGS = -std=c++17 -Wall -Wextra $(MODE_CFLAGS)
bench_index_vs_hnswlib_LDADD = $(BASE_LIBS)
CLEANFILES += bench/index_vs_hnswlib$(EXEEXT)
bench-index:
	$(top_srcdir)/bench/data/make-words100 $(BENCH_WORDS)
	$(MAKE) $(AM_MAKEFLAGS) CFLAGS="$(BENCH_FLAGS)" CXXFLAGS="$(BENCH_FLAGS)" bench/index_vs_hnswlib
	bench/index_vs_hnswlib $(BENCH_WORDS)/words100-base.fbin $(BENCH_WORDS)/words100-query.fbin \
	    $(BENCH_WORDS)/words100-truth.ibin $(ROWS) $(QUERIES) $(REPEATS)
else
bench-index:
	@echo "bench-index needs a C++ compiler and libhnswlib-dev: run tools/deps and configure again" >&2
	@false
endif

# make bench/shard: one shard alone.
EXTRA_PROGRAMS += bench/shard
bench_shard_SOURCES = bench/shard.c
bench_shard_LDADD = $(SHARD_LIBS)
CLEANFILES += bench/shard$(EXEEXT)

# make bench/mem: an allocation and its release.
EXTRA_PROGRAMS += bench/mem
bench_mem_SOURCES = bench/mem.c
bench_mem_LDADD = $(BASE_LIBS)
CLEANFILES += bench/mem$(EXEEXT)

# The server as a whole: make bench-server.
EXTRA_DIST += bench/figures bench/collections
.PHONY: bench-server
bench-server: all
	$(top_srcdir)/bench/figures --build . --data $(BENCH_WORDS)
