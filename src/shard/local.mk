noinst_LIBRARIES += src/shard/libshard.a
src_shard_libshard_a_SOURCES = src/shard/shard.h
src_shard_libshard_a_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
SHARD_LIBS = src/shard/libshard.a src/index/libindex.a $(REPL_LIBS)
