# The codecs need no event loop, so that libvclient can use them alone.
WIRE_SOURCES = src/net/wire.c src/net/wire.h src/net/messages.def
noinst_LIBRARIES += src/net/libnet.a
src_net_libnet_a_SOURCES = $(WIRE_SOURCES) \
    src/net/conn.c \
    src/net/http.c \
    src/net/listener.c \
    src/net/loop.c \
    src/net/spare.c \
    src/net/timer.c \
    src/net/net.h src/net/net_int.h
src_net_libnet_a_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
NET_LIBS = src/net/libnet.a $(EVENT_LIBS) $(BASE_LIBS)
