include_HEADERS += src/client/vclient.h
pkgconfig_DATA += src/client/libvclient.pc
