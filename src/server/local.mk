# The server without its main function, so that its tests can link it.
noinst_LIBRARIES += src/server/libserver.a
src_server_libserver_a_SOURCES = \
    src/server/config.c \
    src/server/directory.c \
    src/server/flight.c \
    src/server/mode.c \
    src/server/mode_standalone.c \
    src/server/names.c \
    src/server/options.c \
    src/server/ports.c \
    src/server/private.c \
    src/server/server.c \
    src/server/server.h src/server/server_int.h \
    src/server/session.c \
    src/server/session_state.c \
    src/server/sink.c \
    src/server/statement.c
SERVER_LIBS = src/server/libserver.a $(QUERY_LIBS)
bin_PROGRAMS += src/server/vectrond
src_server_vectrond_SOURCES = src/server/main.c
src_server_vectrond_LDADD = $(SERVER_LIBS)
