/* scan: the rows of a collection that WHERE takes, in the order of their numbers or of their keys.
 *
 * Between two steps its view is closed; cursor.c says what that means for rows that change. */
#include "query/cursor_int.h"
#include "query/explain_int.h"
#include "query/operator_int.h"
#include "query/scan_blocks_int.h"

enum {
    COLUMNS_ROWS_MIN = 64 /* For fewer, blocks are not worth being read into memory. */
};

struct scan {
    struct operator_run base;
    struct cursor cursor;
    struct scan_blocks *blocks; /* NULL: rows are read by the cursor. */
};

static struct scan *scan_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct scan, base);
}

/* Long ones belong on the pool. */
static enum errcode open_scan(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    uint64_t rows, wanted = portal_rows_wanted(p);
    enum errcode code = access_estimate(p, &rows, err);
    if (code == ERR_OK && !p->plan->reads_all && wanted < rows) {
        rows = wanted;
    }
    if (code != ERR_OK) {
        return code;
    }
    p->is_heavy = p->is_heavy || rows > INLINE_ROWS_MAX;
    if (p->plan->access.is_in_columns && rows >= COLUMNS_ROWS_MIN) {
        scan_of(o)->blocks = scan_blocks_new(p);
        return scan_of(o)->blocks != NULL ? ERR_OK : portal_no_memory(p, err);
    }
    return ERR_OK;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct scan_blocks *blocks = scan_of(o)->blocks;
    struct cursor *cursor = &scan_of(o)->cursor;
    bool found = false;
    if (blocks != NULL) {
        enum errcode code = scan_blocks_next(blocks, &found, err);
        *row = found ? o->portal->columns : NULL;
        return code;
    }
    enum errcode code = cursor->view == NULL ? cursor_open(cursor, o->portal, err) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    CHECK(cursor->view != NULL);
    code = cursor_next(cursor, &found, err);
    if (code != ERR_OK) {
        cursor_back(cursor);
    }
    *row = found ? o->portal->columns : NULL;
    return code;
}

static void back(struct operator_run *o)
{
    if (scan_of(o)->blocks != NULL) {
        scan_blocks_back(scan_of(o)->blocks);
    } else {
        cursor_back(&scan_of(o)->cursor);
    }
}

static enum errcode fetch(struct operator_run *o, const struct column_mask *columns,
                          struct err *err)
{
    return scan_of(o)->blocks == NULL ? cursor_decode(&scan_of(o)->cursor, columns, err) : ERR_OK;
}

static void pause(struct operator_run *o)
{
    if (scan_of(o)->blocks != NULL) {
        scan_blocks_pause(scan_of(o)->blocks);
    } else {
        cursor_close(&scan_of(o)->cursor);
    }
}

static void rewind_scan(struct operator_run *o)
{
    pause(o);
    scan_of(o)->cursor = (struct cursor){0};
    if (scan_of(o)->blocks != NULL) {
        scan_blocks_rewind(scan_of(o)->blocks);
    }
}

uint32_t scan_stamp(const struct operator_run *scan)
{
    CHECK(scan->kind == &operator_scan);
    return shard_row_stamp(&CONTAINER_OF(scan, struct scan, base)->cursor.row);
}

enum errcode scan_count(struct operator_run *scan, uint64_t *rows, struct err *err)
{
    CHECK(scan->kind == &operator_scan);
    struct cursor *cursor = &scan_of(scan)->cursor;
    enum errcode code = cursor->view == NULL ? cursor_open(cursor, scan->portal, err) : ERR_OK;
    if (code == ERR_OK) {
        *rows = shard_view_count(cursor->view);
    }
    return code;
}

static void explain(const struct operator_run *o, struct explain *out)
{
    const struct scan *scan = CONTAINER_OF(o, struct scan, base);
    explain_text(out, "Collection", "%s", o->portal->plan->schema->name);
    explain_filter(out);
    explain_text(out, "Reads", "%s", scan->blocks != NULL ? "columns in memory" : "rows");
    if (o->is_measured) {
        uint64_t n =
            scan->blocks != NULL ? scan_blocks_looked_at(scan->blocks) : scan->cursor.looked_at;
        explain_number(out, "Rows looked at", (double)n);
    }
}

const struct operator_kind operator_scan = {
    .name = "scan",
    .bytes = sizeof(struct scan),
    .open = open_scan,
    .next = next_row,
    .back = back,
    .rewind = rewind_scan,
    .fetch = fetch,
    .pause = pause,
    .close = pause,
    .explain = explain,
};
