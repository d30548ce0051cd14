noinst_LIBRARIES += src/query/libquery.a
src_query_libquery_a_SOURCES = src/query/query.h
QUERY_LIBS = src/query/libquery.a src/parser/libparser.a src/pd/libpd.a $(SHARD_LIBS)
