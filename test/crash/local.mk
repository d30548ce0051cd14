# Crash tests: a server that is killed while it takes writes; see test/crash/run.
EXTRA_DIST += test/crash/run
check_PROGRAMS += test/crash/crash
test_crash_crash_SOURCES = test/crash/crash.c test/crash/ingest.c test/crash/ingest.h \
    test/crash/server.c test/crash/server.h
test_crash_crash_CFLAGS = $(AM_CFLAGS)
test_crash_crash_LDADD = $(CLIENT_LIBS)

.PHONY: crash-long
CRASH_ROUNDS = 100
crash-long:
	$(srcdir)/test/crash/run --build $(abs_top_builddir) --rounds $(CRASH_ROUNDS)
