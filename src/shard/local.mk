noinst_LIBRARIES += src/shard/libshard.a
src_shard_libshard_a_SOURCES = \
    src/shard/apply.c \
    src/shard/block.c src/shard/block.h \
    src/shard/calibrate.c src/shard/calibration_int.h \
    src/shard/care.c \
    src/shard/checkpoint.c \
    src/shard/columns.c \
    src/shard/command.c src/shard/shard_commands.def \
    src/shard/crew.c \
    src/shard/curve.c \
    src/shard/dead.c src/shard/dead_int.h \
    src/shard/effort.c \
    src/shard/flush.c \
    src/shard/host.c src/shard/host_int.h \
    src/shard/measure.c \
    src/shard/overlay.c src/shard/overlay_int.h \
    src/shard/payload.c src/shard/payload_int.h \
    src/shard/queries.c \
    src/shard/recover.c \
    src/shard/reindex.c \
    src/shard/remember.c \
    src/shard/room.c \
    src/shard/row.c src/shard/row_int.h \
    src/shard/search.c \
    src/shard/shard.c src/shard/shard.h src/shard/shard_int.h \
    src/shard/stage.c \
    src/shard/store.c src/shard/store_int.h \
    src/shard/store_compact.c src/shard/store_env.c src/shard/store_env_int.h src/shard/store_head.c \
    src/shard/missed.c \
    src/shard/tally.c src/shard/tally_int.h \
    src/shard/vector_file.c src/shard/vector_file_int.h \
    src/shard/vectors.c src/shard/vectors_int.h \
    src/shard/view.c src/shard/view_int.h \
    src/shard/vouch.c \
    src/shard/wake.c
src_shard_libshard_a_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
SHARD_LIBS = src/shard/libshard.a src/index/libindex.a $(REPL_LIBS)
