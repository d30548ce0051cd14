# Clients that misbehave, against a server of their own: test/abuse/run.
check_PROGRAMS += test/abuse/abuse
EXTRA_DIST += test/abuse/run
test_abuse_abuse_SOURCES = \
    test/abuse/abuse.h \
    test/abuse/client.c \
    test/abuse/holds.c \
    test/abuse/life.c \
    test/abuse/load.c \
    test/abuse/main.c \
    test/abuse/messages.c \
    test/abuse/server.c \
    test/abuse/waits.c
test_abuse_abuse_LDADD = $(NET_LIBS)
