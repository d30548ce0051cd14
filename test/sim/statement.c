/* The statements that clients run by chance, each with what it must do to the rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/run.h"

enum {
    PAUSE_SECONDS_MAX = 20,
    OWN_ROWS = 5,
    BULK_ROWS = 64,
    BULK_BYTES = 80000,
};

/* ---- statements ---- */

static struct cell *cell_of(const struct run *r, unsigned key)
{
    return &world->model.cells[r->who->number][key];
}

static void add_doubt(struct run *r, unsigned key, const struct cell *cell)
{
    struct doubt *doubt = &world->model.doubts[r->who->number];
    CHECK(doubt->n < CHANGES_MAX);
    doubt->keys[doubt->n] = key;
    doubt->cells[doubt->n++] = *cell;
}

static void add_text(struct run *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_text(struct run *r, const char *format, ...)
{
    size_t used = strlen(r->text);
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(r->text + used, sizeof(r->text) - used, format, arguments);
    va_end(arguments);
    CHECK(n >= 0 && (size_t)n < sizeof(r->text) - used);
}

/* By chance the statement is acknowledged at another stage, or has little time. */
static void add_with(struct run *r, bool may_be_early)
{
    static const char *const stages[] = {"leader", "quorum", "indexed"};
    unsigned stage = (unsigned)chance_below(STREAM_CLIENT, 8);
    if (stage < 3) {
        add_text(r, " WITH (ack = %s)", stages[stage]);
        r->is_early = may_be_early && stage < 2;
    } else if (fault_happens(FAULT_TIMEOUT)) {
        add_text(r, " WITH (timeout = '%uus')", 1 + (unsigned)chance_below(STREAM_CLIENT, 20000));
    }
}

/* Runs a write whose doubt is noted; @expected is what it must say otherwise. */
static void run_write(struct run *r, enum errcode expected, uint64_t changed)
{
    unsigned me = r->who->number;
    r->may_stop = true;
    enum errcode code = run(r, expected);
    r->may_stop = false;
    if (code == ERR_OK && expected != ERR_OK) {
        sim_fail("client %u: %.300s should have failed", me, r->text);
    }
    if (code == ERR_OK && r->changed != changed) {
        sim_fail("client %u: %.300s changed %llu rows, not %llu", me, r->text,
                 (unsigned long long)r->changed, (unsigned long long)changed);
    }
    if (code == ERR_OK) {
        model_happened(me);
    } else if (code == ERR_OUTCOME_UNKNOWN || world->model.doubts[me].is_copy) {
        (void)settle_at_last(r);
    } else {
        model_forgotten(me);
    }
}

static void begin_write(struct run *r, bool is_copy)
{
    struct doubt *doubt = &world->model.doubts[r->who->number];
    CHECK(doubt->n == 0);
    doubt->is_copy = is_copy;
    r->text[0] = '\0';
}

/* Distinct keys, in rising order. */
static size_t some_keys(unsigned keys[CHANGES_MAX])
{
    size_t n = 1 + chance_below(STREAM_CLIENT, CHANGES_MAX);
    unsigned key = (unsigned)chance_below(STREAM_CLIENT, KEYS / 2);
    size_t taken = 0;
    while (taken < n && key < KEYS) {
        keys[taken++] = key;
        key += 1 + (unsigned)chance_below(STREAM_CLIENT, 3);
    }
    return taken;
}

static void insert(struct run *r)
{
    static const char *const conflicts[] = {"", " ON CONFLICT DO NOTHING",
                                            " ON CONFLICT DO UPDATE"};
    unsigned keys[CHANGES_MAX], way = (unsigned)chance_below(STREAM_CLIENT, 3);
    size_t n = some_keys(keys), n_taken = 0, changed = 0;
    begin_write(r, false);
    add_text(r, "INSERT INTO t (id, n, c, note, e) VALUES ");
    for (size_t i = 0; i < n; i++) {
        char vector[64], note[NOTE_BYTES];
        struct cell cell = {.is_there = true, .n = ++world->model.last_n, .count = 1};
        bool is_taken = cell_of(r, keys[i])->is_there;
        n_taken += is_taken;
        if (!is_taken || way == 2) {
            add_doubt(r, keys[i], &cell);
            changed++;
        }
        model_vector(cell.n, vector);
        model_note(cell.n, note);
        add_text(r, "%s(%u, %lld, 1, '%s', %s)", i > 0 ? ", " : "",
                 r->who->number * ID_OF_CLIENT + keys[i], (long long)cell.n, note, vector);
    }
    add_text(r, "%s", conflicts[way]);
    add_with(r, way == 2);
    bool fails = way == 0 && n_taken > 0;
    if (fails) {
        model_forgotten(r->who->number);
    }
    run_write(r, fails ? ERR_DUPLICATE_KEY : ERR_OK, changed);
}

static void add_keys(struct run *r, const unsigned *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_text(r, "%s%u", i > 0 ? ", " : " WHERE id IN (",
                 r->who->number * ID_OF_CLIENT + keys[i]);
    }
    add_text(r, ")");
}

static void update(struct run *r)
{
    unsigned keys[CHANGES_MAX];
    size_t n = some_keys(keys), changed = 0;
    bool is_vector = chance_is(STREAM_CLIENT, 2);
    int64_t number = ++world->model.last_n;
    begin_write(r, false);
    add_text(r, "UPDATE t SET c = c + 1");
    if (is_vector) {
        char vector[64], note[NOTE_BYTES];
        model_vector(number, vector);
        model_note(number, note);
        add_text(r, ", n = %lld, note = '%s', e = %s", (long long)number, note, vector);
    }
    for (size_t i = 0; i < n; i++) {
        struct cell cell = *cell_of(r, keys[i]);
        if (cell.is_there) {
            cell.count++;
            cell.n = is_vector ? number : cell.n;
            add_doubt(r, keys[i], &cell);
            changed++;
        }
    }
    add_keys(r, keys, n);
    add_with(r, false);
    run_write(r, ERR_OK, changed);
}

static void delete (struct run *r)
{
    unsigned keys[CHANGES_MAX];
    size_t n = some_keys(keys), changed = 0;
    static const struct cell gone;
    begin_write(r, false);
    add_text(r, "DELETE FROM t");
    for (size_t i = 0; i < n; i++) {
        if (cell_of(r, keys[i])->is_there) {
            add_doubt(r, keys[i], &gone);
            changed++;
        }
    }
    add_keys(r, keys, n);
    add_with(r, false);
    run_write(r, ERR_OK, changed);
}

static void copy_in(struct run *r)
{
    unsigned keys[CHANGES_MAX];
    size_t n = some_keys(keys), at = 0;
    char data[CHANGES_MAX * (NOTE_BYTES + 100)] = "";
    bool is_file = chance_is(STREAM_CLIENT, 2);
    begin_write(r, true);
    add_text(r, "COPY t (id, n, c, note, e) FROM ");
    if (is_file) {
        add_text(r, "'some%u'", r->who->number);
    } else {
        add_text(r, "STDIN");
    }
    add_text(r, " ON CONFLICT DO UPDATE");
    for (size_t i = 0; i < n; i++) {
        char vector[64], note[NOTE_BYTES];
        struct cell cell = {.is_there = true, .n = ++world->model.last_n, .count = 1};
        add_doubt(r, keys[i], &cell);
        model_vector(cell.n, vector);
        model_note(cell.n, note);
        at += (size_t)snprintf(data + at, sizeof(data) - at, "%u,%lld,1,%s,\"%s\"\n",
                               r->who->number * ID_OF_CLIENT + keys[i], (long long)cell.n, note,
                               vector);
    }
    if (is_file && !file_put("some", r->who->number, data, at)) {
        model_forgotten(r->who->number);
        return;
    }
    r->copied = data;
    add_with(r, true);
    run_write(r, ERR_OK, n);
}

/* ---- a row that all write ---- */

static void add_to_shared(struct run *r)
{
    struct shared *shared = &world->model.shared;
    r->text[0] = '\0';
    add_text(r, "UPDATE t SET c = c + 1 WHERE id = %d", ID_SHARED);
    add_with(r, false);
    shared->begun++;
    r->may_stop = true;
    enum errcode code = run(r, ERR_CONFLICT);
    r->may_stop = false;
    if (code == ERR_OK && r->changed != 1) {
        sim_fail("client %u: %.300s changed %llu rows", r->who->number, r->text,
                 (unsigned long long)r->changed);
    }
    shared->told += code == ERR_OK;
    shared->begun -= code != ERR_OK && code != ERR_OUTCOME_UNKNOWN;
}

static void read_shared(struct run *r)
{
    const struct shared *shared = &world->model.shared;
    int64_t told = shared->told;
    (void)snprintf(r->text, sizeof(r->text), "SELECT c FROM t WHERE id = %d", ID_SHARED);
    if (run(r, ERR_OK) == ERR_OK) {
        buf_u8(&r->rows, '\0');
        int64_t count = strtoll((const char *)r->rows.data, NULL, 10);
        if (r->n_rows != 1 || count < told || count > shared->begun) {
            sim_fail("client %u: the shared row has %zu rows and count %lld, of %lld told and %lld "
                     "begun",
                     r->who->number, r->n_rows, (long long)count, (long long)told,
                     (long long)shared->begun);
        }
    }
}

static void use_shared(struct run *r)
{
    struct shared *shared = &world->model.shared;
    if (!shared->is_there) {
        (void)snprintf(r->text, sizeof(r->text),
                       "INSERT INTO t (id, n, c) VALUES (%d, 0, 0) ON CONFLICT DO NOTHING",
                       ID_SHARED);
        shared->is_there = run(r, ERR_OK) == ERR_OK || shared->is_there;
    } else if (chance_is(STREAM_CLIENT, 3)) {
        read_shared(r);
    } else {
        add_to_shared(r);
    }
}

/* ---- reads ---- */

static void some_range(unsigned *from, unsigned *to)
{
    *from = (unsigned)chance_below(STREAM_CLIENT, KEYS);
    *to = *from + (unsigned)chance_below(STREAM_CLIENT, KEYS - *from);
}

void read_range(struct run *r, unsigned from, unsigned to)
{
    unsigned first = r->who->number * ID_OF_CLIENT;
    (void)snprintf(r->text, sizeof(r->text),
                   "SELECT id, n, c, note FROM t WHERE id BETWEEN %u AND %u ORDER BY id",
                   first + from, first + to);
    if (run(r, ERR_OK) == ERR_OK) {
        buf_reset(&r->expected);
        model_rows(r->who->number, from, to, &r->expected);
        expect_rows(r);
    }
}

static void select_range(struct run *r)
{
    unsigned from, to;
    some_range(&from, &to);
    read_range(r, from, to);
}

/* Runs @what over a range of the client's keys, with @end behind it. */
static bool run_over_range(struct run *r, const char *what, const char *end, unsigned *from,
                           unsigned *to)
{
    unsigned first = r->who->number * ID_OF_CLIENT;
    some_range(from, to);
    (void)snprintf(r->text, sizeof(r->text), "SELECT %s FROM t WHERE id BETWEEN %u AND %u%s", what,
                   first + *from, first + *to, end);
    buf_reset(&r->expected);
    return run(r, ERR_OK) == ERR_OK;
}

static void sum_range(struct run *r)
{
    unsigned from, to;
    if (run_over_range(r, "count(*), sum(n), min(n), max(n)", "", &from, &to)) {
        (void)model_sums(r->who->number, from, to, MODEL_ALL, &r->expected);
        expect_rows(r);
    }
}

static void count_range(struct run *r)
{
    unsigned from, to;
    if (run_over_range(r, "count(*)", "", &from, &to)) {
        buf_printf(&r->expected, "%zu\n", model_count(r->who->number, from, to));
        expect_rows(r);
    }
}

_Static_assert(MODEL_GROUPS == 4, "the texts below have it");

static void group_range(struct run *r)
{
    unsigned from, to;
    if (run_over_range(r, "count(*), sum(n), min(n), max(n)",
                       " GROUP BY n % 4 HAVING count(*) >= 2 ORDER BY n % 4", &from, &to)) {
        for (unsigned group = 0; group < MODEL_GROUPS; group++) {
            size_t before = r->expected.bytes;
            if (model_sums(r->who->number, from, to, group, &r->expected) < 2) {
                r->expected.bytes = before;
            }
        }
        expect_rows(r);
    }
}

static void distinct_range(struct run *r)
{
    unsigned from, to;
    if (run_over_range(r, "DISTINCT n % 4", " ORDER BY 1 DESC", &from, &to)) {
        for (unsigned group = MODEL_GROUPS; group-- > 0;) {
            size_t before = r->expected.bytes;
            bool is_there = model_sums(r->who->number, from, to, group, &r->expected) > 0;
            r->expected.bytes = before;
            if (is_there) {
                buf_printf(&r->expected, "%u\n", group);
            }
        }
        expect_rows(r);
    }
}

/* Rows that match come whenever there are any; which ones is for the exact search to say. */
static void search_range(struct run *r)
{
    unsigned from, to, first = r->who->number * ID_OF_CLIENT;
    char vector[64];
    some_range(&from, &to);
    model_vector((int64_t)chance_below(STREAM_CLIENT, (uint64_t)world->model.last_n + 1), vector);
    (void)snprintf(r->text, sizeof(r->text),
                   "SEARCH id, n, c, note FROM t NEAR %s WHERE id BETWEEN %u AND %u LIMIT 100%s",
                   vector, first + from, first + to,
                   chance_is(STREAM_CLIENT, 2) ? " WITH (exact = on)" : "");
    if (run(r, ERR_OK) == ERR_OK && r->n_rows != model_count(r->who->number, from, to)) {
        sim_fail("client %u: %.300s found %zu rows of %zu", r->who->number, r->text, r->n_rows,
                 model_count(r->who->number, from, to));
    }
}

static void tend(struct run *r)
{
    static const char *const texts[] = {
        "CHECKPOINT",       "REINDEX t",    "SHOW COLLECTIONS", "SHOW SHARDS",  "SHOW SESSIONS",
        "SHOW CALIBRATION", "SHOW METRICS", "SHOW POLICIES",    "SELECT 1 + 1", "SHOW VIEWS"};
    (void)snprintf(r->text, sizeof(r->text), "%s",
                   texts[chance_below(STREAM_CLIENT, COUNT_OF(texts))]);
    (void)run(r, ERR_OK);
}

/* ---- a collection of its own ---- */

/* A drop that is acknowledged settles all that was in doubt before it. */
static void drop_own(struct run *r)
{
    struct own *own = &world->model.owns[r->who->number];
    (void)snprintf(r->text, sizeof(r->text), "DROP COLLECTION IF EXISTS own%u", r->who->number);
    own->is_in_doubt = true;
    if (run(r, ERR_OK) == ERR_OK) {
        *own = (struct own){.is_there = false};
        (void)snprintf(r->text, sizeof(r->text), "SELECT count(*) FROM own%u", r->who->number);
        if (run(r, ERR_UNKNOWN_COLLECTION) == ERR_OK) {
            sim_fail("client %u: its collection is there after it was dropped", r->who->number);
        }
    }
}

static void make_own(struct run *r)
{
    struct own *own = &world->model.owns[r->who->number];
    (void)snprintf(r->text, sizeof(r->text),
                   "CREATE COLLECTION own%u (id TEXT PRIMARY KEY, e VECTOR(3) METRIC COSINE, "
                   "f VECTOR(2), note TEXT) WITH (%s)",
                   r->who->number, chance_is(STREAM_CLIENT, 3) ? "index = flat" : "m = 4");
    own->is_in_doubt = true;
    if (run(r, ERR_OK) == ERR_OK) {
        *own = (struct own){.is_there = true};
    }
}

static void fill_own(struct run *r)
{
    struct own *own = &world->model.owns[r->who->number];
    (void)snprintf(r->text, sizeof(r->text), "INSERT INTO own%u (id, e, f) VALUES ",
                   r->who->number);
    for (unsigned i = 0; i < OWN_ROWS; i++) {
        add_text(r, "%s('row %u', [%u, 1, 2], [3, %u])", i > 0 ? ", " : "", own->rows + i, i + 1,
                 i);
    }
    own->is_in_doubt = true;
    if (run(r, ERR_OK) == ERR_OK) {
        own->is_in_doubt = false;
        own->rows += OWN_ROWS;
    }
}

/* So many bytes that the file's map must grow, and that it is worth to be compacted once they are
 * deleted. */
static void copy_into_own(struct run *r)
{
    static char copied[CLIENTS][BULK_ROWS * (BULK_BYTES + 64)]; /* They copy at once. */
    char *data = copied[r->who->number];
    struct own *own = &world->model.owns[r->who->number];
    size_t at = 0;
    for (unsigned i = 0; i < BULK_ROWS; i++) {
        at += (size_t)snprintf(data + at, sizeof(copied[0]) - at, "row %u,\"[%u,1,2]\",",
                               own->rows + i, i + 1);
        memset(data + at, 'b', BULK_BYTES);
        at += BULK_BYTES;
        data[at++] = '\n';
    }
    data[at] = '\0';
    r->copied = data;
    (void)snprintf(r->text, sizeof(r->text), "COPY own%u (id, e, note) FROM STDIN", r->who->number);
    own->is_in_doubt = true;
    if (run(r, ERR_OK) == ERR_OK) {
        own->is_in_doubt = false;
        own->rows += BULK_ROWS;
    }
}

static void empty_own(struct run *r)
{
    struct own *own = &world->model.owns[r->who->number];
    (void)snprintf(r->text, sizeof(r->text), "DELETE FROM own%u", r->who->number);
    own->is_in_doubt = true;
    if (run(r, ERR_OK) == ERR_OK) {
        own->is_in_doubt = false;
        own->rows = 0;
    }
}

static bool copy_own(struct run *r, const char *columns, const char *way, const char *options)
{
    unsigned me = r->who->number;
    (void)snprintf(r->text, sizeof(r->text), "COPY own%u %s %s (%s)", me, columns, way, options);
    return run(r, ERR_OK) == ERR_OK;
}

/* All of its rows into a file, and back.  By fbin only their vectors, and numbers as keys or those
 * of another file. */
static void move_own(struct run *r)
{
    static const struct {
        const char *out, *in, *format;
    } ways[] = {{"", "", "FORMAT csv, HEADER"},
                {"", "", "FORMAT binary"},
                {"(e)", "(id, e)", "FORMAT fbin"},
                {"(e)", "(id, e)", "FORMAT fbin"}};
    struct own *own = &world->model.owns[r->who->number];
    unsigned me = r->who->number, rows = own->rows;
    size_t way = chance_below(STREAM_CLIENT, COUNT_OF(ways));
    bool has_ids = way == COUNT_OF(ways) - 1;
    char to[32], from[32], ids[32], options[64];
    (void)snprintf(to, sizeof(to), "TO 'own%u'", me);
    (void)snprintf(from, sizeof(from), "FROM 'own%u'", me);
    (void)snprintf(ids, sizeof(ids), "TO 'ids%u'", me);
    (void)snprintf(options, sizeof(options), "%s%s%s", ways[way].format, has_ids ? ", IDS" : "",
                   has_ids ? ids + strlen("TO") : "");
    if ((has_ids && !copy_own(r, "(id)", ids, "FORMAT csv")) ||
        !copy_own(r, ways[way].out, to, ways[way].format)) {
        return;
    }
    empty_own(r);
    if (own->is_in_doubt) {
        return;
    }
    own->is_in_doubt = true;
    if (copy_own(r, ways[way].in, from, options)) {
        own->is_in_doubt = false;
        own->rows = rows;
        if (r->changed != rows) {
            sim_fail("client %u: %.300s loaded %llu rows of %u", me, r->text,
                     (unsigned long long)r->changed, rows);
        }
    }
}

static void count_own(struct run *r)
{
    const struct own *own = &world->model.owns[r->who->number];
    (void)snprintf(r->text, sizeof(r->text),
                   "SEARCH id FROM own%u NEAR [1, 1, 1] LIMIT 1000 WITH (ef = 1000)",
                   r->who->number);
    if (run(r, ERR_OK) == ERR_OK && r->n_rows != own->rows) {
        sim_fail("client %u: its collection has %zu rows, not %u", r->who->number, r->n_rows,
                 own->rows);
    }
}

static void use_own(struct run *r)
{
    const struct own *own = &world->model.owns[r->who->number];
    if (own->is_in_doubt || (own->is_there && chance_is(STREAM_CLIENT, 6))) {
        drop_own(r);
    } else if (!own->is_there) {
        make_own(r);
    } else if (chance_is(STREAM_CLIENT, 12)) {
        copy_into_own(r);
    } else if (chance_is(STREAM_CLIENT, 8)) {
        empty_own(r);
    } else if (own->rows > 0 && chance_is(STREAM_CLIENT, 3)) {
        move_own(r);
    } else if (chance_is(STREAM_CLIENT, 2)) {
        fill_own(r);
    } else {
        count_own(r);
    }
}

static const struct {
    void (*run)(struct run *r);
    unsigned share;
} statements[] = {{insert, 6},         {update, 4},
                  {delete, 3},         {copy_in, 2},
                  {select_range, 3},   {count_range, 1},
                  {sum_range, 1},      {group_range, 1},
                  {distinct_range, 1}, {search_range, 3},
                  {tend, 1},           {use_own, 2},
                  {use_shared, 3},     {read_through_portals, 1},
                  {copy_to_file, 1}};

void run_some_statement(struct run *r)
{
    unsigned all = 0;
    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        all += statements[i].share;
    }
    unsigned at = (unsigned)chance_below(STREAM_CLIENT, all);
    size_t i = 0;
    if (r->is_early && !write_settling_row(r)) {
        return; /* What others plan would be planned on rows that are not to be seen yet. */
    }
    while (at >= statements[i].share) {
        at -= statements[i++].share;
    }
    statements[i].run(r);
}

/* The node's own work comes in the pauses. */
void pause_by_chance(void)
{
    if (chance_is(STREAM_CLIENT, 60)) {
        sched_sleep(chance_below(STREAM_CLIENT, PAUSE_SECONDS_MAX * 1000000000ull));
    } else if (chance_is(STREAM_CLIENT, 6)) {
        sched_sleep(chance_below(STREAM_CLIENT, PAUSE_SECONDS_MAX * 1000000ull));
    }
}
