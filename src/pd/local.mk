noinst_LIBRARIES += src/pd/libpd.a
src_pd_libpd_a_SOURCES = \
    src/pd/command.c \
    src/pd/map.c \
    src/pd/pd.c src/pd/pd.h src/pd/pd_int.h src/pd/pd_commands.def \
    src/pd/snapshot.c
PD_LIBS = src/pd/libpd.a $(REPL_LIBS)
