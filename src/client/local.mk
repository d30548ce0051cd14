include_HEADERS += src/client/vclient.h
pkgconfig_DATA += src/client/libvclient.pc

# libvclient: its own files, the wire codecs, and what those need of base, without jemalloc, counters
# or anything else that is one for the process.
noinst_LTLIBRARIES =
noinst_LTLIBRARIES += src/client/libclient.la
CLIENT_BASE_SOURCES = \
    src/base/arena.c src/base/buf.c src/base/check.c src/base/clock.c src/base/err.c \
    src/base/fault.c src/base/json.c src/base/mem.c src/base/value.c src/base/value_text.c
src_client_libclient_la_SOURCES = \
    src/client/cancel.c src/client/client_int.h src/client/conninfo.c src/client/connect.c \
    src/client/copy.c src/client/exec.c src/client/io.c src/client/pipeline.c \
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
