/* What the files of SEARCH share.
 *
 *   search.c       analysis, query vectors, steps
 *   search_plan.c  which way
 *   search_find.c  the hits of one query, in order
 *   search_rows.c  the rows of the hits
 *   search_team.c  several queries at once */
#ifndef VECTRON_QUERY_SEARCH_INT_H
#define VECTRON_QUERY_SEARCH_INT_H

#include "query/query_int.h"

enum search_way {
    WAY_WALK,
    WAY_FILTERED_WALK,
    WAY_EXACT_MATCHES,
    WAY_EXACT_SCAN
};

struct search_hit {
    double distance;
    uint64_t number, label;
    struct value key; /* Filled in where the label leaves a tie. */
};

/* Who looks for the hits of a query, with what only one thread may use. */
struct searcher {
    struct portal *portal;
    struct evaluator *evaluator;
    struct arena *row_arena;
    struct work *work;
    struct work own_work;    /* Of a helper. */
    struct shard_view *view; /* NULL: none is open. */
    struct search_hit *hits;
    size_t n_hits;
    struct index_hit *index_hits;
    struct err filter_err; /* Of the filter, which cannot return one. */
    struct index_work done;
    uint64_t rows_read; /* From the file, to test them. */
    uint64_t rows_end;  /* shard_rows_end before the search. */
};

/* What was found of a query before its rows are made. */
struct search_found {
    struct search_hit *hits;
    size_t n_hits;
    uint64_t rows_end;
    struct index_work done;
    bool is_valid; /* It may be taken, once. */
};

struct search_state {
    enum search_way way;
    size_t k; /* LIMIT plus OFFSET. */
    size_t ef;
    struct shard_effort effort; /* Of a walk; its verdict counts where ef is auto. */
    const char *why_exact;      /* Where a walk was possible; else NULL. */
    bool is_miss_told;          /* A notice says that recall is below its floor. */
    bool is_of_index;           /* Only the key is asked of a row: a view may not be needed. */
    uint64_t n_rows;            /* That the choice reckoned with. */
    double selectivity;         /* Share of rows that match. */
    size_t n_sampled;
    double share_in_memory; /* Of the rows that were sampled: the columns that WHERE reads. */
    size_t filter_visits_max;
    double cost_ns; /* Of one query. */
    const float **queries;
    uint64_t *from_rows; /* Of KEY queries: the row whose vector it is. */
    size_t next_query;
    struct search_found *found;  /* NULL: no team yet. */
    size_t first_found, n_found; /* Queries that are in it. */
    struct searcher self;        /* The step's thread. */
    unsigned fell_back, again;   /* For EXPLAIN ANALYZE. */
};

/* ---- search_plan.c ---- */

/* Chooses s->way and s->ef for s->k.  RECALL_MISSED where on_miss says so. */
enum errcode search_choose(struct portal *portal, struct search_state *s,
                           struct err *err) WARN_UNUSED;
/* The cheaper of the two exact ways with a WHERE. */
enum search_way search_exact_way(const struct portal *portal, const struct search_state *s);
const char *search_way_name(enum search_way way);
/* That recall will be below its floor, as an error or a notice. */
enum errcode search_tell_miss(const struct portal *portal, const struct search_state *s,
                              struct err *err);

/* ---- search_find.c ---- */

/* The hits of query @q, by the index or by all rows that match, in no order yet. */
enum errcode search_find(struct searcher *self, size_t q, enum search_way way,
                         struct err *err) WARN_UNUSED;
/* By distance, then by key. */
enum errcode search_order(struct searcher *self, struct err *err) WARN_UNUSED;
/* Whether row @number is there, in the open view, and matches the WHERE. */
enum errcode search_test_row(struct searcher *self, uint64_t number, bool *matches, bool *found,
                             struct err *err) WARN_UNUSED;
enum errcode searcher_open_view(struct searcher *self, struct err *err) WARN_UNUSED;
void searcher_close_view(struct searcher *self);

/* ---- search_team.c ---- */

/* On the pool: looks for the hits of the next queries on several cores. */
void search_team_find(struct portal *portal);
/* The hits of query @q, where a team has found them; once. */
bool search_take_found(struct searcher *self, size_t q);

/* ---- search_rows.c ---- */

/* Appends the rows of query @q to the batch. */
enum errcode search_query_rows(struct portal *portal, size_t q, struct err *err) WARN_UNUSED;

#endif
