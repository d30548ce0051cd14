noinst_LIBRARIES += src/query/libquery.a
src_query_libquery_a_SOURCES = \
    src/query/binding.c \
    src/query/copy_int.h \
    src/query/copy_file.c \
    src/query/copy_in.c \
    src/query/copy_out.c \
    src/query/cursor.c src/query/cursor_int.h \
    src/query/database.c src/query/database_int.h \
    src/query/ddl.c \
    src/query/explain.c src/query/explain_int.h \
    src/query/explain_lines.c \
    src/query/lanes.c src/query/lanes_int.h \
    src/query/leaf.c src/query/leaf_int.h \
    src/query/operator.c src/query/operator_int.h \
    src/query/operator_aggregate.c \
    src/query/operator_distinct.c \
    src/query/operator_filter.c \
    src/query/operator_gather.c \
    src/query/operator_insert.c \
    src/query/operator_limit.c \
    src/query/operator_load.c \
    src/query/operator_modify.c \
    src/query/operator_one.c \
    src/query/operator_project.c \
    src/query/operator_scan.c \
    src/query/operator_search.c \
    src/query/operator_show.c \
    src/query/operator_sort.c \
    src/query/operator_values.c \
    src/query/pending.c src/query/pending_int.h \
    src/query/portal.c src/query/portal_int.h \
    src/query/portal_life.c \
    src/query/portal_start.c \
    src/query/portal_step.c \
    src/query/portal_wait.c \
    src/query/prepared.c src/query/prepared_int.h \
    src/query/query.h \
    src/query/registry.c \
    src/query/reindex.c \
    src/query/scan_blocks.c src/query/scan_blocks_int.h \
    src/query/search_int.h \
    src/query/search_find.c \
    src/query/search_hits.c \
    src/query/search_matches.c \
    src/query/search_plan.c \
    src/query/search_rows.c \
    src/query/search_team.c \
    src/query/searcher.c \
    src/query/session.c src/query/session_int.h \
    src/query/set.c \
    src/query/sort.c src/query/sort_int.h \
    src/query/tree.c src/query/tree_int.h \
    src/query/verb.c src/query/verb_int.h \
    src/query/view_int.h \
    src/query/views.c
QUERY_LIBS = src/query/libquery.a $(PLAN_LIBS) $(NODE_LIBS)
