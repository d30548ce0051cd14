# bin_PROGRAMS += src/server/vectrond comes with main.c.
SERVER_LIBS = $(QUERY_LIBS)
