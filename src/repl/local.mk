noinst_LIBRARIES += src/repl/librepl.a
src_repl_librepl_a_SOURCES = src/repl/repl.h
src_repl_librepl_a_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS) $(RAFT_CFLAGS)
REPL_LIBS = src/repl/librepl.a $(RAFT_LIBS) $(LMDB_LIBS) $(NET_LIBS)
