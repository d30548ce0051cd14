/* load: the rows of the input become commands, several of them on their way at once: COPY FROM.
 *
 *   decode -> row -> command -> shard_submit
 *
 * A command that is full waits until one of IN_FLIGHT_MAX is acknowledged, or, where the log has no
 * room for it, until it has (shard_room).
 *
 * A wait is a portal's: its timeout and a cancel end it.  Then commands that have not reached the
 * log are taken back, and the error says how many rows are in.
 *
 * Each command is atomic; the whole COPY is not: after an error the rows of earlier commands are
 * there, and the error says how many.  Of several errors that of the first row is told, once all
 * commands on their way have ended.  A step that is given up for the pool has lost nothing. */
#include "query/copy_int.h"
#include "query/operator_int.h"
#include "query/pending_int.h"

#include "format/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    COMMAND_ROWS_MAX = 1024,
    COMMAND_BYTES_MAX = 1 << 20,
    IN_FLIGHT_MAX = 4,                 /* Commands that wait for their acknowledgement. */
    SEEN_SLOTS = 4 * COMMAND_ROWS_MAX, /* A power of two. */
};

struct load {
    struct operator_run base;
    struct shard_command *command; /* NULL: the next row begins one. */
    bool is_full;                  /* It goes before another row is taken. */
    bool is_drained;               /* There are no more rows. */
    uint64_t first_row;            /* Of the command, from 1. */
    uint64_t n_rows;               /* Taken. */
    uint64_t n_done;               /* Of commands that have ended. */
    uint64_t n_loaded;             /* Acknowledged, and not skipped. */
    uint64_t n_unknown;            /* Of commands whose outcome could not be learned. */
    size_t bytes_max;              /* Of a command that is full. */
    uint64_t *places;              /* Where the rows of the command stood; as a write's. */
    struct portal_write writes[IN_FLIGHT_MAX];
    struct shard_room room; /* Where the command waits that the log could not take. */
    uint64_t *seen;   /* DO UPDATE: hashes of the keys in the command, at their slots; 0 = free. */
    struct err err;   /* The one to be told, */
    uint64_t err_row; /* and the first row that it is of. */
};

static struct load *load_of(struct operator_run *o)
{
    CHECK_HOT(o->kind == &operator_load);
    return CONTAINER_OF(o, struct load, base);
}

static void room_ready(struct shard_room *room)
{
    portal_event(CONTAINER_OF(room, struct load, room)->base.portal);
}

static enum errcode open_load(struct operator_run *o, struct err *err)
{
    struct load *l = load_of(o);
    struct arena *arena = o->portal->arena;
    enum on_conflict on_conflict = o->portal->plan->copy.on_conflict;
    size_t share = o->portal->budget_bytes / (IN_FLIGHT_MAX + 1); /* One is gathered meanwhile. */
    l->bytes_max = share < COMMAND_BYTES_MAX ? share : COMMAND_BYTES_MAX;
    shard_room_init(&l->room, room_ready);
    if (on_conflict == CONFLICT_ERROR) {
        l->places = arena_array(arena, COMMAND_ROWS_MAX, sizeof(*l->places));
    } else if (on_conflict == CONFLICT_UPDATE) {
        l->seen = arena_zalloc(arena, SEEN_SLOTS * sizeof(*l->seen));
    }
    for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
        l->writes[i].room = &l->room;
        l->writes[i].places =
            l->places != NULL ? arena_array(arena, COMMAND_ROWS_MAX, sizeof(*l->places)) : NULL;
    }
    return arena_failed(arena) ? portal_no_memory(o->portal, err) : ERR_OK;
}

static void close_load(struct operator_run *o)
{
    struct load *l = load_of(o);
    shard_room_leave(&l->room);
    if (l->command != NULL) {
        shard_command_free(l->command);
    }
}

/* ---- errors ---- */

/* Keeps the error of the first row, or of the first that leaves an outcome open, and says where
 * it was. */
static void fail(struct load *l, const struct err *err, uint64_t row, const char *place)
{
    CHECK(err->code != ERR_OK && place != NULL);
    bool is_first = l->err.code == ERR_OK || row < l->err_row;
    bool is_open = err->code == ERR_OUTCOME_UNKNOWN;
    bool was_open = l->err.code == ERR_OUTCOME_UNKNOWN;
    if (is_open == was_open ? is_first : is_open) {
        l->err = *err;
        l->err_row = row;
        err_prefix(&l->err, "COPY %s, %s", l->base.portal->plan->schema->name, place);
    }
}

/* Of the row at hand.  What ends the statement is told whatever rows are wrong. */
static void fail_here(struct load *l, const struct err *err)
{
    char place[48];
    struct err why;
    const struct row_decoder *source = decode_source(l->base.input);
    bool is_ending = portal_poll(l->base.portal, &why) != ERR_OK;
    row_decoder_name(source, row_decoder_place(source), place, sizeof(place));
    fail(l, err, is_ending ? 0 : l->n_rows + 1, place);
}

/* Of a write: of one row where apply refused its key, else of all. */
static void fail_write(struct load *l, const struct portal_write *w)
{
    char place[80];
    uint64_t row = w->first_row;
    CHECK(w->n_rows > 0);
    if (w->pending.err.code == ERR_DUPLICATE_KEY && w->places != NULL) {
        CHECK(w->write.rows < w->n_rows);
        row += w->write.rows;
        row_decoder_name(decode_source(l->base.input), w->places[w->write.rows], place,
                         sizeof(place));
    } else {
        snprintf(place, sizeof(place), "rows %" PRIu64 " to %" PRIu64, row, row + w->n_rows - 1);
    }
    fail(l, &w->pending.err, row, place);
}

void portal_copy_fail(struct portal *p, const struct err *reason)
{
    fail_here(load_of(p->root), reason);
    portal_copy_done(p);
}

/* ---- writes ---- */

/* Takes the results of what has ended; returns a free write, or NULL. */
static struct portal_write *collect(struct load *l, size_t *n_busy)
{
    struct portal_write *free_write = NULL;
    *n_busy = 0;
    for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
        struct portal_write *w = &l->writes[i];
        if (w->pending.is_busy && pending_collect(&w->pending)) {
            enum errcode code = w->pending.err.code;
            CHECK(w->n_rows > 0);
            l->n_done += w->n_rows;
            l->n_unknown += code == ERR_OUTCOME_UNKNOWN ? w->n_rows : 0;
            if (code == ERR_OK) {
                l->n_loaded += w->write.rows;
            } else {
                fail_write(l, w);
            }
        }
        *n_busy += w->pending.is_busy ? 1 : 0;
        free_write = w->pending.is_busy ? free_write : w;
    }
    CHECK((free_write == NULL) == (*n_busy == IN_FLIGHT_MAX));
    return free_write;
}

/* False where every write is busy, or the log has no room: an event will tell. */
static bool flush(struct load *l)
{
    struct portal *p = l->base.portal;
    size_t n_busy;
    struct portal_write *w = collect(l, &n_busy);
    if (p->plan->stmt->copy.file == NULL) {
        portal_progress(p, "copy", l->n_done, row_decoder_total(decode_source(l->base.input)));
    }
    if (l->command == NULL || l->err.code != ERR_OK) {
        return true;
    }
    if (w == NULL) {
        return false;
    }
    struct err err;
    CHECK(!w->pending.is_busy && l->first_row > 0);
    w->first_row = l->first_row;
    w->n_rows = shard_command_rows(l->command);
    if (l->places != NULL) {
        memcpy(w->places, l->places, w->n_rows * sizeof(*w->places));
    }
    enum errcode code = portal_write_submit(p, w, l->command, &err);
    if (code == ERR_OVERLOADED) {
        return false;
    }
    l->command = NULL;
    l->is_full = false;
    if (code != ERR_OK) {
        fail_here(l, &err);
    }
    return true;
}

/* ---- rows ---- */

static enum errcode begin_command(struct load *l, struct err *err)
{
    CHECK(l->command == NULL && !l->is_drained && !l->is_full);
    l->command = shard_command_new(l->base.portal->plan->schema, err);
    l->first_row = l->n_rows + 1;
    if (l->seen != NULL) {
        memset(l->seen, 0, SEEN_SLOTS * sizeof(*l->seen));
    }
    return l->command != NULL ? ERR_OK : err->code;
}

static uint64_t hash_key(const struct value *key)
{
    CHECK_HOT(key->type == TYPE_TEXT || key->type == TYPE_UUID || key->type == TYPE_INT);
    const void *data = key->type == TYPE_TEXT   ? (const void *)key->text.data
                       : key->type == TYPE_UUID ? (const void *)key->uuid
                                                : (const void *)&key->integer;
    size_t bytes = key->type == TYPE_TEXT   ? key->text.bytes
                   : key->type == TYPE_UUID ? sizeof(key->uuid)
                                            : sizeof(key->integer);
    return 1ULL << 32 | crc32c(0, data, bytes);
}

/* A command may not write a row twice, and of two lines of one key the later one counts, however
 * the lines fall into commands: so it waits for the next.  Two keys of one hash do no harm. */
static bool is_repeated(struct load *l, const struct value *key)
{
    if (l->seen == NULL || key->type == TYPE_NULL) {
        return false;
    }
    uint64_t hash = hash_key(key);
    size_t slot = hash % SEEN_SLOTS;
    while (l->seen[slot] != 0 && l->seen[slot] != hash) {
        slot = (slot + 1) % SEEN_SLOTS;
    }
    bool is_there = l->seen[slot] == hash;
    l->seen[slot] = hash;
    return is_there;
}

static enum errcode add_row(struct load *l, const struct value *row, struct err *err)
{
    struct operator_run *input = l->base.input;
    if (l->command == NULL && begin_command(l, err) != ERR_OK) {
        return err->code;
    }
    if (is_repeated(l, &row[0])) {
        l->is_full = true;
        operator_back(input);
        return ERR_OK;
    }
    if (l->places != NULL) {
        l->places[l->n_rows + 1 - l->first_row] = row_decoder_place(decode_source(input));
    }
    l->n_rows++;
    enum errcode code = portal_write_add(
        l->base.portal, l->command, insert_op(l->base.portal->plan->copy.on_conflict),
        &(struct row_write){.values = row, .columns = row_decoder_columns(decode_source(input))},
        err);
    l->is_full = shard_command_rows(l->command) >= COMMAND_ROWS_MAX ||
                 shard_command_bytes(l->command) >= l->bytes_max;
    return code;
}

/* Until there are none, one is wrong, or: WAIT, for a write; COPY_IN; FAILED, on the wrong thread.
 */
static enum step take_rows(struct load *l, struct err *err)
{
    for (;;) {
        struct value *row = NULL;
        struct err wrong;
        if (l->is_full && !flush(l)) {
            return STEP_WAIT;
        }
        if (l->is_drained || l->err.code != ERR_OK) {
            return STEP_DONE;
        }
        enum errcode code = operator_next(l->base.input, &row, &wrong);
        if (code == ERR_OK && row != NULL) {
            code = add_row(l, row, &wrong);
        } else if (code == ERR_OK && decode_is_short(l->base.input)) {
            return STEP_COPY_IN;
        } else if (code == ERR_OK) {
            l->is_drained = l->is_full = true;
        }
        if (code != ERR_OK && l->base.portal->is_moving) {
            *err = wrong;
            return STEP_FAILED;
        }
        if (code != ERR_OK) {
            fail_here(l, &wrong);
        }
    }
}

/* ---- steps ---- */

/* A COPY that failed can be run again; what is in must not stand in its way then. */
static void tell_loaded(const struct load *l, struct err *err)
{
    if (l->n_unknown > 0) {
        err_detail(err, "%" PRIu64 " rows were loaded, and up to %" PRIu64 " more may have been.",
                   l->n_loaded, l->n_unknown);
    } else {
        err_detail(err, "%" PRIu64 " row%s loaded.", l->n_loaded,
                   l->n_loaded == 1 ? " was" : "s were");
    }
    if (l->n_loaded + l->n_unknown > 0 &&
        l->base.portal->plan->copy.on_conflict == CONFLICT_ERROR) {
        char hint[ERR_FIELD_BYTES];
        snprintf(hint, sizeof(hint), "%s", err->hint);
        err_hint(err,
                 "%s%sTo run it again over the rows that were loaded, write FROM ... ON CONFLICT "
                 "DO NOTHING.",
                 hint, hint[0] != '\0' ? " " : "");
    }
}

static void note_cancel(struct load *l)
{
    struct err err;
    if (l->err.code == ERR_OK && portal_poll(l->base.portal, &err) != ERR_OK) {
        fail_here(l, &err);
    }
}

static enum step step_load(struct operator_run *o, struct err *err)
{
    struct load *l = load_of(o);
    size_t n_busy;
    note_cancel(l);
    enum step step = take_rows(l, err);
    if (step == STEP_WAIT || step == STEP_FAILED) {
        return step;
    }
    (void)collect(l, &n_busy);
    if (step == STEP_COPY_IN && l->err.code == ERR_OK) {
        return STEP_COPY_IN;
    }
    if (n_busy > 0) {
        return STEP_WAIT;
    }
    o->portal->rows = l->n_loaded;
    if (l->err.code != ERR_OK) {
        *err = l->err;
        tell_loaded(l, err);
        return STEP_FAILED;
    }
    return STEP_DONE;
}

const struct operator_kind operator_load = {
    .name = "load",
    .bytes = sizeof(struct load),
    .open = open_load,
    .close = close_load,
    .step = step_load,
};
