/* A scan of what shards keep in memory of rows: columns of 64 rows side by side.
 *
 *   block -> which of its rows match, for all of them at once (lanes.c) -> their cells, row by row
 *   rows that are elsewhere - in the overlay, in no block - are asked for one by one, in their turn
 *
 * Rows come in the order of their numbers, and what is said of a cursor that goes on in another
 * view (cursor.c) holds here as well. */
#include "query/lanes_int.h"
#include "query/portal_int.h"
#include "query/scan_blocks_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "plan/plan.h"

enum {
    CELLS_WORK = 20, /* A row whose columns are in memory. */
    BLOCK_WORK = 60
};

struct scan_blocks {
    struct portal *portal;
    struct lanes *lanes; /* NULL: there is no WHERE. */
    uint32_t *columns;   /* Those that are read. */
    size_t n_columns;
    struct shard_cells *cells; /* Of the block, of each of them. */
    struct shard_view *view;   /* NULL: none is open. */
    uint64_t next;             /* All rows before it have been looked at, */
    uint64_t at_hand;          /* the last of them this one. */
    struct shard_block block;
    uint64_t here, elsewhere; /* Of the block: rows that are still to come. */
    bool is_tested;           /* Those that are here match. */
    uint64_t looked_at, n_told;
};

struct scan_blocks *scan_blocks_new(struct portal *p)
{
    CHECK(p->plan->schema != NULL);
    const struct access *access = &p->plan->access;
    struct scan_blocks *s = arena_zalloc(p->arena, sizeof(*s));
    uint32_t n = p->plan->schema->n_columns;
    uint32_t *columns = arena_array(p->arena, n, sizeof(*columns));
    if (s == NULL || columns == NULL) {
        return NULL;
    }
    s->portal = p;
    s->columns = columns;
    for (uint32_t i = 0; i < n; i++) {
        if (mask_has(&access->reads, i)) {
            CHECK(p->plan->schema->columns[i].type != TYPE_VECTOR);
            columns[s->n_columns++] = i;
        }
    }
    s->cells = arena_array(p->arena, s->n_columns, sizeof(*s->cells));
    s->lanes = lanes_of_access(p->plan, p->arena);
    return s->cells != NULL ? s : NULL;
}

/* The rows from @number on are looked at again, in the view that is open then. */
static void go_back(struct scan_blocks *s, uint64_t number)
{
    CHECK(s->looked_at > 0);
    uint64_t first = s->block.first;
    s->here = s->elsewhere = 0;
    if (s->next == first + SHARD_BLOCK_ROWS && number >= first) {
        uint64_t again = (s->block.rows | s->block.elsewhere) & UINT64_MAX << (number - first);
        s->looked_at -= (uint64_t)__builtin_popcountll(again);
    } else {
        s->looked_at--;
    }
    s->next = number;
}

void scan_blocks_pause(struct scan_blocks *s)
{
    if ((s->here | s->elsewhere) != 0) {
        go_back(s, s->block.first + (unsigned)__builtin_ctzll(s->here | s->elsewhere));
    }
    if (s->view != NULL) {
        shard_view_close(s->view);
        s->view = NULL;
    }
}

void scan_blocks_back(struct scan_blocks *s)
{
    CHECK(s->at_hand > 0);
    go_back(s, s->at_hand);
}

void scan_blocks_rewind(struct scan_blocks *s)
{
    scan_blocks_pause(s);
    s->next = s->at_hand = s->looked_at = s->n_told = 0;
}

uint64_t scan_blocks_looked_at(const struct scan_blocks *s)
{
    return s->looked_at;
}

/* ---- blocks ---- */

static void tell(struct scan_blocks *s)
{
    if (s->looked_at - s->n_told >= PROGRESS_ROWS) {
        s->n_told = s->looked_at;
        portal_progress(s->portal, "scan", s->looked_at, shard_view_count(s->view));
    }
}

/* Which of the rows here match; all are left, untested, where that is to be asked row by row. */
static enum errcode match(struct scan_blocks *s, struct err *err)
{
    struct portal *p = s->portal;
    struct lanes_run run = {.lanes = s->lanes,
                            .evaluator = &p->evaluator,
                            .view = s->view,
                            .block = &s->block,
                            .wanted = s->here};
    uint64_t matches;
    s->is_tested = p->plan->access.where == NULL;
    if (s->lanes == NULL || s->lanes->stack == NULL) {
        return ERR_OK; /* Its rows are taken one by one all the same. */
    }
    arena_reset(p->row_arena);
    enum errcode code =
        program_match_block(p->plan->access.where, &run, &matches, &s->is_tested, err);
    if (code == ERR_OK && s->is_tested) {
        s->here = matches;
    }
    return code;
}

/* The block of the next row; *is_there = false where it is in none. */
static enum errcode look(struct scan_blocks *s, bool *is_there, struct err *err)
{
    CHECK_HOT(s->view != NULL && (s->here | s->elsewhere) == 0);
    struct portal *p = s->portal;
    uint64_t rows_read = 0;
    *is_there = shard_view_block(s->view, s->next, p->plan->access.reads.bits, SHARD_BLOCK_MADE,
                                 &s->block, &rows_read);
    enum errcode code = work_spend(&p->work, BLOCK_WORK + ROW_WORK * rows_read, err);
    if (code != ERR_OK || !*is_there) {
        return code;
    }
    uint64_t ahead = UINT64_MAX << (s->next - s->block.first);
    s->here = s->block.rows & ahead;
    uint64_t n = (uint64_t)__builtin_popcountll((s->block.rows | s->block.elsewhere) & ahead);
    code = match(s, err);
    if (code != ERR_OK) {
        s->here = 0;
        return code;
    }
    s->elsewhere = s->block.elsewhere & ahead;
    for (size_t i = 0; i < s->n_columns; i++) {
        s->cells[i] = shard_block_cells(s->view, &s->block, s->columns[i]);
    }
    s->looked_at += n;
    s->next = s->block.first + SHARD_BLOCK_ROWS;
    tell(s);
    return ERR_OK;
}

/* ---- rows ---- */

static enum errcode test(struct scan_blocks *s, bool *matches, struct err *err)
{
    return program_matches(s->portal->plan->access.where, &s->portal->evaluator, matches, err);
}

static struct shard_columns wanted(const struct scan_blocks *s)
{
    const struct portal *p = s->portal;
    return (struct shard_columns){
        .wanted = p->plan->access.reads.bits, .values = p->columns, .arena = p->row_arena};
}

/* A row that is asked for by its number. */
static enum errcode take_asked(struct scan_blocks *s, uint64_t number, bool *matches,
                               struct err *err)
{
    bool found;
    struct shard_columns columns = wanted(s);
    enum errcode code = shard_view_columns(s->view, number, &columns, &found, err);
    if (code == ERR_OK) {
        code = work_spend(&s->portal->work, ROW_WORK * (1 + columns.rows_read), err);
    }
    *matches = false;
    return code == ERR_OK && found ? test(s, matches, err) : code;
}

/* The next row of the block. */
static enum errcode take_row(struct scan_blocks *s, bool *matches, struct err *err)
{
    CHECK_HOT((s->here | s->elsewhere) != 0 && (s->here & s->elsewhere) == 0);
    struct portal *p = s->portal;
    unsigned row = (unsigned)__builtin_ctzll(s->here | s->elsewhere);
    uint64_t bit = UINT64_C(1) << row;
    bool is_here = (s->here & bit) != 0;
    s->here &= ~bit;
    s->elsewhere &= ~bit;
    s->at_hand = s->block.first + row;
    arena_reset(p->row_arena);
    enum errcode code = work_spend(&p->work, CELLS_WORK, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!is_here || !lanes_take_cells(s->cells, s->columns, s->n_columns, row, p->columns)) {
        return take_asked(s, s->at_hand, matches, err);
    }
    *matches = true;
    return s->is_tested ? ERR_OK : test(s, matches, err);
}

/* A row that is in no block. */
static enum errcode take_single(struct scan_blocks *s, bool *found, bool *matches, struct err *err)
{
    struct shard_columns columns = wanted(s);
    uint64_t number = s->next;
    arena_reset(s->portal->row_arena);
    enum errcode code = shard_view_next_columns(s->view, &number, &columns, found, err);
    if (code != ERR_OK || !*found) {
        return code;
    }
    code = work_spend(&s->portal->work, ROW_WORK * (1 + columns.rows_read), err);
    if (code == ERR_OK) {
        code = test(s, matches, err);
    }
    if (code == ERR_OK) {
        s->at_hand = number;
        s->next = number + 1;
        s->looked_at++;
        tell(s);
    }
    return code;
}

enum errcode scan_blocks_next(struct scan_blocks *s, bool *found, struct err *err)
{
    struct portal *p = s->portal;
    bool matches = false;
    enum errcode code = s->view == NULL ? shard_view_open(p->shard, &s->view, err) : ERR_OK;
    *found = true;
    p->evaluator.columns = p->columns;
    while (code == ERR_OK && *found && !matches) {
        bool is_there = true;
        if ((s->here | s->elsewhere) != 0) {
            code = take_row(s, &matches, err);
            if (code != ERR_OK) {
                scan_blocks_back(s);
            }
            continue;
        }
        code = look(s, &is_there, err);
        if (code == ERR_OK && !is_there) {
            code = take_single(s, found, &matches, err);
        }
    }
    return code;
}
