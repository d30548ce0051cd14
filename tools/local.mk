# What the house asks of its sources, and the one list of packages.
EXTRA_DIST += tools/deps tools/lint tools/lint_source.awk tools/lint_sizes.awk tools/cppcheck.txt \
    .clang-tidy .clang-format

.PHONY: lint
lint: $(BUILT_SOURCES)
	$(AM_V_at)$(top_srcdir)/tools/lint -b $(abs_top_builddir)
