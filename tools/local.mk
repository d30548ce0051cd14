# What the house asks of its sources, and the one list of packages.
EXTRA_DIST += .clang-format .clang-tidy tools/build tools/deps tools/docs tools/docs.awk tools/lint \
    tools/lint_calls.awk tools/lint_circles.awk tools/lint_source.awk tools/lint_sizes.awk tools/lint_tables.awk \
    tools/cppcheck.txt

.PHONY: lint docs
docs:
	$(AM_V_at)$(top_srcdir)/tools/docs

lint: $(BUILT_SOURCES) $(noinst_LIBRARIES) $(noinst_LTLIBRARIES)
	$(AM_V_at)$(top_srcdir)/tools/lint -b $(abs_top_builddir)
