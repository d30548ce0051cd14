noinst_LIBRARIES += src/repl/librepl.a
src_repl_librepl_a_SOURCES = \
    src/repl/apply.c \
    src/repl/entry.c \
    src/repl/group.c \
    src/repl/group_state.c \
    src/repl/log_dir.c \
    src/repl/log_store.c src/repl/log_store_int.h \
    src/repl/log_thread.c \
    src/repl/repl.c src/repl/repl.h src/repl/repl_int.h \
    src/repl/room.c
src_repl_librepl_a_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS) $(RAFT_CFLAGS)
REPL_LIBS = src/repl/librepl.a $(RAFT_LIBS) $(LMDB_LIBS) $(NET_LIBS)
