noinst_LIBRARIES += src/index/libindex.a
src_index_libindex_a_SOURCES = src/index/index.h
INDEX_LIBS = src/index/libindex.a $(BASE_LIBS)
