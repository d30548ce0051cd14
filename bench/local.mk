# What bench/ adds to the build.
EXTRA_DIST += bench/data/make-set bench/data/make-words100 bench/data/make-sample \
    bench/data/words.js bench/data/mixture.c bench/data/truth.c
EXTRA_PROGRAMS =

# The index against its peers: make bench-index [BENCH_WORDS=DIRECTORY] [SETS="words100 ..."].  All
# but faiss, which Debian compiled, are compiled with BENCH_FLAGS; ROWS, QUERIES, REPEATS and
# PEERS (names of libraries, with commas) make a shorter run; KEEP=DIRECTORY keeps the peers'
# graphs for the next one.
BENCH_FLAGS = -O3 -march=native
BENCH_WORDS = $(abs_top_builddir)/data
BENCH_OUT = bench-index
SETS = words100 words100-dot sentences512 mixture128
ROWS =
QUERIES =
REPEATS = 3
PEERS =
KEEP =
EXTRA_DIST += bench/index/run bench/index/plot.awk bench/index/compare.h bench/index/library.h \
    bench/index/main.c bench/index/measure.c bench/index/mapped.c bench/index/report.c \
    bench/index/set.c \
    bench/index/vectrond.c bench/index/hnswlib.cc bench/index/faiss.cc
.PHONY: bench-index
if HAVE_HNSWLIB
EXTRA_PROGRAMS += bench/index/compare
bench_index_compare_SOURCES = bench/index/compare.h bench/index/library.h \
    bench/index/main.c bench/index/measure.c bench/index/mapped.c bench/index/report.c \
    bench/index/set.c \
    bench/index/vectrond.c bench/index/hnswlib.cc $(src_index_libindex_a_SOURCES)
# A CFLAGS of its own makes objects of its own: the library keeps the flags of the build.
bench_index_compare_CFLAGS = $(AM_CFLAGS) $(BENCH_FAISS_CFLAGS)
bench_index_compare_CXXFLAGS = -std=c++17 -Wall -Wextra $(MODE_CFLAGS)
bench_index_compare_LDADD = $(BASE_LIBS)
if HAVE_FAISS
BENCH_FAISS_CFLAGS = -DHAVE_FAISS
bench_index_compare_SOURCES += bench/index/faiss.cc
bench_index_compare_CXXFLAGS += -fopenmp
bench_index_compare_LDADD += -lfaiss -llapack -lblas -lgomp
endif
CLEANFILES += bench/index/compare$(EXEEXT)
bench-index:
	$(MAKE) $(AM_MAKEFLAGS) CFLAGS="$(BENCH_FLAGS)" CXXFLAGS="$(BENCH_FLAGS)" bench/index/compare
	$(top_srcdir)/bench/index/run --program bench/index/compare --data "$(BENCH_WORDS)" \
	    --out "$(BENCH_OUT)" --sets "$(SETS)" --rows "$(ROWS)" --queries "$(QUERIES)" \
	    --repeats "$(REPEATS)" --libraries "$(PEERS)" --keep "$(KEEP)"
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

# make bench/open: an index from its checkpoint.
EXTRA_PROGRAMS += bench/open
bench_open_SOURCES = bench/open.c
bench_open_LDADD = $(SHARD_LIBS)
CLEANFILES += bench/open$(EXEEXT)

# make bench/mem: an allocation and its release.
EXTRA_PROGRAMS += bench/mem
bench_mem_SOURCES = bench/mem.c
bench_mem_LDADD = $(BASE_LIBS)
CLEANFILES += bench/mem$(EXEEXT)

# make bench/text: vectors as text and back.
EXTRA_PROGRAMS += bench/text
bench_text_SOURCES = bench/text.c
bench_text_LDADD = $(BASE_LIBS)
CLEANFILES += bench/text$(EXEEXT)

# make bench/filter: the ways of answering SEARCH ... WHERE, beside the planner's.
EXTRA_PROGRAMS += bench/filter
bench_filter_SOURCES = bench/filter.c
bench_filter_LDADD = $(QUERY_LIBS)
CLEANFILES += bench/filter$(EXEEXT)

# make bench/loopback: a question and its answer over TCP, with nothing between.
EXTRA_PROGRAMS += bench/loopback
bench_loopback_SOURCES = bench/loopback.c
bench_loopback_LDADD = $(BASE_LIBS)
CLEANFILES += bench/loopback$(EXEEXT)

# A statement in process: make bench-statements.
EXTRA_PROGRAMS += bench/statements
bench_statements_SOURCES = bench/statements.c
bench_statements_LDADD = $(QUERY_LIBS)
CLEANFILES += bench/statements$(EXEEXT)
.PHONY: bench-statements
bench-statements: bench/statements
	bench/statements

# The server as a whole: make bench-server.
EXTRA_DIST += bench/figures bench/groups bench/collections bench/widen.awk
.PHONY: bench-server
bench-server: all bench/filter bench/loopback
	$(top_srcdir)/bench/figures --build . --data $(BENCH_WORDS)

# make bench/kernels: codes a second, by width and instruction set.
EXTRA_PROGRAMS += bench/kernels
bench_kernels_SOURCES = bench/kernels.c
bench_kernels_LDADD = $(INDEX_LIBS)
CLEANFILES += bench/kernels$(EXEEXT)

# Does the floor of recall hold on every kind of data?  make promises.
EXTRA_DIST += bench/promises/run
EXTRA_PROGRAMS += bench/promises/promises
bench_promises_promises_SOURCES = bench/promises/main.c bench/promises/promises.h \
    bench/promises/server.c bench/promises/shapes.c bench/promises/truth.c
bench_promises_promises_CFLAGS = $(AM_CFLAGS)
bench_promises_promises_LDADD = $(CLIENT_LIBS)
CLEANFILES += bench/promises/promises$(EXEEXT)
.PHONY: promises
promises: all
	$(top_srcdir)/bench/promises/run --build .
