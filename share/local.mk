# The sample that quickstart loads and the tour in README.md uses.
sampledir = $(pkgdatadir)/sample
dist_sample_DATA = share/sample/words.fbin share/sample/words.txt share/sample/NOTICE
