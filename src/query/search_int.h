/* What the files of SEARCH share.
 *
 *   search.c       analysis
 *   operator_search.c  query vectors, steps, EXPLAIN
 *   search_plan.c  which way
 *   search_find.c  the hits of one query
 *   search_matches.c  the rows that match, block by block, and the nearest of them
 *   searcher.c     the view, the rows that are tested, and the call of the index
 *   search_hits.c  the hits in order
 *   search_rows.c  the rows of the hits
 *   search_team.c  several queries at once */
#ifndef VECTRON_QUERY_SEARCH_INT_H
#define VECTRON_QUERY_SEARCH_INT_H

#include "query/operator_int.h"
#include "shard/block.h"

struct lanes;

enum {
    CELL_WORK = 60 /* A row whose columns are in memory. */
};

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
    struct lanes *lanes;     /* NULL: the WHERE is run row by row. */
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

/* What becomes of a search whose walk costs less than a scan, by what is known of its recall. */
enum search_miss {
    MISS_IS_NONE, /* It walks. */
    MISS_IS_TOLD, /* It walks, and a notice says that recall may be below its floor. */
    MISS_SCANS,
    MISS_FAILS
};

struct search_state {
    struct operator_run base;
    enum search_way way;
    size_t k; /* LIMIT plus OFFSET. */
    size_t ef;
    struct shard_effort effort;   /* Of a walk; its verdict counts where ef is auto. */
    enum search_miss miss_beyond; /* What becomes of a query that lies beyond the effort's reach. */
    const char *why_exact;        /* Where a walk was possible; else NULL. */
    bool is_miss_told;            /* A notice says that recall is below its floor. */
    bool is_of_index;             /* Only the key is asked of a row: a view may not be needed. */
    uint64_t n_rows;              /* That the choice reckoned with. */
    double selectivity;           /* Share of rows that match, by the sample; */
    double share_low;             /* at least, most likely. */
    double block_row_ns;          /* A row of a block in memory, tested. */
    size_t n_sampled;
    double n_as_if_alone;   /* So many rows, drawn one by one, would tell as much as they. */
    double share_in_memory; /* Of the rows that were sampled: the columns that WHERE reads. */
    size_t filter_calls_max;
    double cost_ns; /* Of one query. */
    const float **queries;
    uint64_t *from_rows; /* Of KEY queries: the row whose vector it is. */
    size_t next_query;
    struct search_found *found;  /* NULL: no team yet. */
    size_t first_found, n_found; /* Queries that are in it. */
    struct searcher self;        /* The step's thread. */
    bool is_given_up;            /* A walk of this query gave up: it goes on with that way. */
    size_t given_up_query;
    enum search_way given_up_way;
    struct index_work given_up_done; /* What that walk had cost. */
    unsigned fell_back, again;       /* For EXPLAIN ANALYZE. */
};

static inline struct search_hit search_hit_of(const struct index_hit *hit)
{
    return (struct search_hit){.distance = hit->distance, .number = hit->row, .label = hit->label};
}

/* ---- search_plan.c ---- */

/* Chooses s->way and s->ef for s->k.  RECALL_MISSED where on_miss says so. */
enum errcode search_choose(struct portal *portal, struct search_state *s,
                           struct err *err) WARN_UNUSED;
const char *search_way_name(enum search_way way);
/* The cheaper of the exact ways. */
enum search_way search_exact_way(const struct portal *p, const struct search_state *s);
enum search_miss search_miss_of(enum shard_verdict verdict, enum on_miss on_miss, double floats);
/* That recall will or may be below its floor, as an error or a notice. */
enum errcode search_tell_miss(const struct portal *portal, const struct search_state *s,
                              struct err *err);
/* The same of a query that lies beyond the effort's reach. */
enum errcode search_tell_beyond(const struct portal *portal, bool is_sparse, struct err *err);

/* ---- searcher.c ---- */

enum errcode searcher_open_view(struct searcher *self, struct err *err) WARN_UNUSED;
void searcher_close_view(struct searcher *self);
/* Calls the index for query @q; *n hits are left in index_hits. */
enum errcode search_call_index(struct searcher *self, size_t q, struct shard_search *search,
                               size_t *n, struct err *err) WARN_UNUSED;
/* The key is borrowed from the view; NULL where there is no such row. */
enum errcode search_read_key(struct searcher *self, uint64_t number, struct value *key,
                             struct err *err) WARN_UNUSED;
/* Whether row @number is there, in the open view, and matches the WHERE. */
enum errcode search_test_row(struct searcher *self, uint64_t number, bool *matches, bool *found,
                             struct err *err) WARN_UNUSED;
struct shard_columns search_columns_of(struct searcher *self, const struct column_mask *wanted);
/* The row at hand, whose columns of the WHERE have been decoded. */
enum errcode search_test_at_hand(struct searcher *self, const struct shard_columns *columns,
                                 bool *matches, struct err *err) WARN_UNUSED;

/* ---- search_hits.c ---- */

/* Puts a hit among the nearest k, its key filled in where the label leaves a tie. */
void search_add_hit(struct searcher *self, size_t k, struct search_hit hit);
/* By distance, then by key. */
enum errcode search_order(struct searcher *self, struct err *err) WARN_UNUSED;

/* ---- search_find.c ---- */

/* The hits of query @q; search_order puts them in order. */
enum errcode search_find(struct searcher *self, size_t q, enum search_way way,
                         struct err *err) WARN_UNUSED;

/* ---- search_matches.c ---- */

/* Which rows of a block match. */
struct search_block {
    uint64_t first;          /* Its first row. */
    uint64_t found, matches; /* A bit a row. */
};
/* *is_there = false: the block is not in memory. */
enum errcode search_test_block(struct searcher *self, uint64_t number, enum shard_block_wish wish,
                               struct search_block *out, bool *is_there,
                               struct err *err) WARN_UNUSED;
/* The nearest of all rows that match, within the open view. */
enum errcode search_matches(struct searcher *self, size_t q, struct err *err) WARN_UNUSED;

/* ---- search_team.c ---- */

/* On the pool: looks for the hits of the next queries on several cores. */
void search_team_find(struct portal *portal);
/* The hits of query @q, where a team has found them; once. */
bool search_take_found(struct searcher *self, size_t q);

/* ---- search_rows.c ---- */

/* Appends the rows of query @q to the batch. */
enum errcode search_query_rows(struct portal *portal, size_t q, struct err *err) WARN_UNUSED;

#endif
