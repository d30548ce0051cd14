noinst_LIBRARIES += src/pd/libpd.a
src_pd_libpd_a_SOURCES = src/pd/pd.h
PD_LIBS = src/pd/libpd.a $(REPL_LIBS)
