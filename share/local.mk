# The configuration file with each policy's default and meaning.
dist_pkgdata_DATA = share/vectrond.conf.sample

# The sample that quickstart loads and the tour in README.md uses.
sampledir = $(pkgdatadir)/sample
dist_sample_DATA = share/sample/words.fbin share/sample/words.txt share/sample/NOTICE
