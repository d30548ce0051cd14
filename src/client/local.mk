include_HEADERS += src/client/vclient.h
pkgconfig_DATA += src/client/libvclient.pc

# libvclient: its own files, the wire codecs, and what those need of base, without jemalloc, counters
# or anything else that is one for the process.
noinst_LTLIBRARIES =
noinst_LTLIBRARIES += src/client/libclient.la
CLIENT_BASE_SOURCES = \
    src/base/arena.c src/base/buf.c src/base/check.c src/base/clock.c src/base/err.c \
    src/base/fault.c src/base/json.c src/base/mem.c src/base/thread.c src/base/value.c \
    src/base/value_text.c src/base/number_text.c
src_client_libclient_la_SOURCES = \
    src/client/cancel.c src/client/client_int.h src/client/conn.c src/client/conninfo.c \
    src/client/connect.c \
    src/client/copy.c src/client/exec.c src/client/io.c src/client/outcome.c src/client/pipeline.c \
    src/client/receive.c src/client/result.c src/client/values.c src/client/vclient.h \
    $(WIRE_SOURCES) $(CLIENT_BASE_SOURCES)
src_client_libclient_la_CFLAGS = $(AM_CFLAGS) -DMEM_PLAIN -fvisibility=hidden

# Interface : revision : age; see libtool's manual before a release changes them.
lib_LTLIBRARIES += src/client/libvclient.la
src_client_libvclient_la_SOURCES =
src_client_libvclient_la_LIBADD = src/client/libclient.la
src_client_libvclient_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined

# The programs hold the library in themselves, so that they run from the build tree as they stand.
CLIENT_LIBS = src/client/libclient.la

# vsql.  What it completes is made from the parser's table, which it may not see.
bin_PROGRAMS += src/client/vsql
noinst_LTLIBRARIES += src/client/libshell.la
src_client_libshell_la_SOURCES = \
    src/client/shell/bar.c src/client/shell/command.c src/client/shell/commands.def \
    src/client/shell/complete.c \
    src/client/shell/copy.c src/client/shell/copy_plan.c src/client/shell/edit.c \
    src/client/shell/describe.c src/client/shell/query.c src/client/shell/help.c src/client/shell/help.def src/client/shell/interrupt.c \
    src/client/shell/pager.c src/client/shell/print.c src/client/shell/read.c src/client/shell/report.c \
    src/client/shell/out.c src/client/shell/pset.c src/client/shell/scan.c src/client/shell/shell.c src/client/shell/shell_int.h \
    src/client/shell/edit_int.h src/client/shell/text_int.h \
    src/client/shell/source.c src/client/shell/statement.c src/client/shell/text.c \
    src/client/shell/vars.c src/client/shell/wait.c \
    src/format/csv.c
nodist_src_client_libshell_la_SOURCES = src/client/shell/keywords.c
src_client_libshell_la_CFLAGS = $(AM_CFLAGS) $(EDIT_CFLAGS) -DMEM_PLAIN
SHELL_LIBS = src/client/libshell.la $(CLIENT_LIBS) $(EDIT_LIBS)
src_client_vsql_SOURCES = src/client/shell/main.c
src_client_vsql_LDADD = $(SHELL_LIBS)

src/client/shell/keywords.c: src/parser/keywords.def src/expr/functions.def \
    src/expr/aggregates.def src/client/shell/keywords.awk
	$(AM_V_GEN)mkdir -p $(@D) && $(AWK) -f $(srcdir)/src/client/shell/keywords.awk \
	    $(srcdir)/src/parser/keywords.def $(srcdir)/src/expr/functions.def \
	    $(srcdir)/src/expr/aggregates.def > $@.tmp && mv $@.tmp $@
EXTRA_DIST += src/client/shell/keywords.awk
CLEANFILES += src/client/shell/keywords.c

# vbench.
bin_PROGRAMS += src/client/vbench
noinst_LTLIBRARIES += src/client/libbench.la
src_client_libbench_la_SOURCES = \
    src/client/bench/bench_int.h src/client/bench/client.c src/client/bench/data.c \
    src/client/bench/histogram.c \
    src/client/bench/recall.c src/client/bench/report.c src/base/thread.c
src_client_libbench_la_CFLAGS = $(AM_CFLAGS) -DMEM_PLAIN
BENCH_LIBS = src/client/libbench.la $(CLIENT_LIBS)
src_client_vbench_SOURCES = \
    src/client/bench/load.c src/client/bench/main.c src/client/bench/run.c
src_client_vbench_LDADD = $(BENCH_LIBS)
dist_man_MANS += doc/man/vsql.1 doc/man/vbench.1 doc/man/libvclient.3
