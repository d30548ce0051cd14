# The configuration file with each policy's default and meaning.
dist_pkgdata_DATA = share/vectrond.conf.sample

# The sample that quickstart loads and the tour in README.md uses.
sampledir = $(pkgdatadir)/sample
dist_sample_DATA = share/sample/words.fbin share/sample/words.txt share/sample/NOTICE

# The service, and the user that it runs as.
systemddir = $(prefix)/lib/systemd/system
nodist_systemd_DATA = share/vectrond.service
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = share/sysusers/vectrond.conf
EXTRA_DIST += share/vectrond.service.in
CLEANFILES += share/vectrond.service

share/vectrond.service: share/vectrond.service.in
	$(AM_V_GEN)$(MKDIR_P) share && sed 's|@bindir[@]|$(bindir)|' $< >$@
