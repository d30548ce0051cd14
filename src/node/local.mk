noinst_LIBRARIES += src/node/libnode.a
src_node_libnode_a_SOURCES = \
    src/node/alarm.c \
    src/node/catalog.c \
    src/node/node.c src/node/node.h src/node/node_int.h \
    src/node/pool.c
NODE_LIBS = src/node/libnode.a src/pd/libpd.a $(SHARD_LIBS)
