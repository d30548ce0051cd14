# The pages, made in part from the .def tables by `make docs`; the manual pages are installed.
EXTRA_DIST += doc/architecture.md doc/architecture/replication.md doc/errors.md doc/metrics.md doc/performance.md doc/policies.md doc/protocol.md doc/views.md doc/vql.md \
    doc/decisions/build.md doc/decisions/deterministic-index.md doc/decisions/fragments.md doc/decisions/policies.md \
    doc/decisions/operators.md doc/decisions/outcomes.md doc/decisions/reachable-rows.md doc/decisions/replication-engine.md \
    doc/decisions/simulator.md doc/decisions/storage.md doc/decisions/walks.md \
    doc/decisions/wire.md \
    doc/plots/mixture128.svg doc/plots/sentences512.svg doc/plots/words100.svg doc/plots/words100-dot.svg
dist_man_MANS += doc/man/vectrond.8 doc/man/vectrond.conf.5
