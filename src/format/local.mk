noinst_LIBRARIES += src/format/libformat.a
src_format_libformat_a_SOURCES = \
    src/format/csv.c src/format/csv_int.h \
    src/format/decode.c \
    src/format/encode.c \
    src/format/format.h
FORMAT_LIBS = src/format/libformat.a $(BASE_LIBS)
