# The pages, made in part from the .def tables by `make docs`; the manual pages are installed.
EXTRA_DIST += doc/errors.md doc/metrics.md doc/policies.md
dist_man_MANS += doc/man/vectrond.8 doc/man/vectrond.conf.5
