/* COPY FROM: bytes -> rows -> commands, several of them on their way at once.
 *
 *   portal_copy_data, or the file -> pending -> row_decoder_next -> command -> shard_submit
 *                                       ^ holds what no free write could take; the client is asked
 *                                         to wait until one of COPY_IN_FLIGHT_MAX is acknowledged
 *                                                   ^ holds what the log has no room for now; the
 *                                                     client waits until it has (shard_room)
 *
 * Either wait is a portal's: its timeout and a cancel end it.  Then commands that have not reached
 * the log are taken back, and the error says how many rows are in.
 *
 * Each command is atomic; the whole COPY is not: after an error the rows of earlier commands are
 * there, and the error says how many. */
#include "query/copy_int.h"
#include "query/pending_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "expr/expr.h"
#include "format/format.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SEEN_SLOTS = 4 * COPY_BATCH_ROWS_MAX, /* A power of two. */
    COPY_INLINE_WORK_MAX = 1000000, /* Decoded on the owner's thread; what is left, on the pool. */
};

struct copy_in {
    struct portal *portal;
    enum shard_op op;
    struct row_decoder *decoder;
    struct buf pending; /* Given and not yet decoded. */
    size_t decoded;     /* Bytes at its front that are done with. */
    bool is_ended;      /* No further input comes. */
    bool is_drained;    /* The decoder has seen the end. */
    bool is_cut;        /* More could be decoded, but the owner's thread has done enough. */
    struct shard_command *command;
    uint64_t first_row; /* Of the command, from 1. */
    uint64_t n_rows;    /* Decoded. */
    uint64_t n_done;    /* Of commands that have ended. */
    uint64_t n_loaded;  /* Acknowledged, and not skipped. */
    uint64_t n_unknown; /* Of commands whose outcome could not be learned. */
    struct portal_write writes[COPY_IN_FLIGHT_MAX];
    struct shard_room room; /* Where the command waits that the log could not take. */
    struct value *values;   /* Of the row at hand. */
    uint64_t *seen; /* DO UPDATE: hashes of the keys in the command, at their slots; 0 = free. */
    bool holds_row; /* Its key is in the command: it goes into the next. */
    struct err err; /* The first one. */
    int fd;         /* Of a file on the server, or -1. */
    uint64_t file_bytes, file_done;
};

/* ---- start and end ---- */

static enum errcode open_file(struct portal *p, struct copy_in *in, struct err *err)
{
    CHECK(in->fd < 0);
    p->is_heavy = true;
    return copy_file_open(p, p->plan->stmt->copy.file, &in->fd, &in->file_bytes, err);
}

static enum errcode open_ids(struct portal *p, FILE **ids, struct err *err)
{
    int fd;
    uint64_t bytes;
    enum errcode code = copy_file_open(p, p->plan->copy.format.ids_file, &fd, &bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    *ids = fdopen(fd, "r");
    if (*ids == NULL) {
        close(fd);
        return err_no_memory(err);
    }
    return ERR_OK;
}

static enum errcode open_decoder(struct portal *p, struct copy_in *in, struct err *err)
{
    const struct row_format *format = &p->plan->copy.format;
    struct row_making making = {
        .record_bytes_max = REPL_ENTRY_BYTES_MAX, .arena = p->row_arena, .coerce = value_coerce};
    if (format->ids_file != NULL && open_ids(p, &making.ids, err) != ERR_OK) {
        return err->code;
    }
    in->decoder = row_decoder_new(format, &making);
    return in->decoder != NULL ? ERR_OK : err_no_memory(err);
}

static void room_ready(struct shard_room *room)
{
    portal_event(CONTAINER_OF(room, struct copy_in, room)->portal);
}

static enum errcode start_copy_in(struct portal *p, struct err *err)
{
    CHECK(p->verb_state == NULL && p->shard != NULL);
    const struct plan *plan = p->plan;
    struct copy_in *in = arena_zalloc(p->arena, sizeof(*in));
    if (in == NULL) {
        return portal_no_memory(p, err);
    }
    p->verb_state = in;
    in->portal = p;
    in->op = insert_op(plan->copy.on_conflict);
    in->fd = -1;
    shard_room_init(&in->room, room_ready);
    for (size_t i = 0; i < COPY_IN_FLIGHT_MAX; i++) {
        in->writes[i].room = &in->room;
    }
    buf_init(&in->pending, MEM_STATEMENT, p->budget_bytes);
    in->values = arena_array(p->arena, plan->schema->n_columns, sizeof(*in->values));
    if (in->values == NULL) {
        return portal_no_memory(p, err);
    }
    if (plan->copy.on_conflict == CONFLICT_UPDATE) {
        in->seen = arena_zalloc(p->arena, SEEN_SLOTS * sizeof(*in->seen));
        if (in->seen == NULL) {
            return portal_no_memory(p, err);
        }
    }
    if (open_decoder(p, in, err) != ERR_OK) {
        return err->code;
    }
    return plan->stmt->copy.file != NULL ? open_file(p, in, err) : ERR_OK;
}

static void end_copy_in(struct portal *p)
{
    struct copy_in *in = p->verb_state;
    if (in != NULL) {
        shard_room_leave(&in->room);
        row_decoder_free(in->decoder);
        buf_fini(&in->pending);
        if (in->command != NULL) {
            shard_command_free(in->command);
        }
        if (in->fd >= 0) {
            close(in->fd);
        }
    }
}

/* ---- writes ---- */

/* Keeps the first error, or the first that leaves an outcome open, and says where it was. */
static void fail(struct portal *p, struct copy_in *in, const struct err *err, const char *place)
{
    CHECK(err->code != ERR_OK && place != NULL);
    bool is_open = err->code == ERR_OUTCOME_UNKNOWN && in->err.code != ERR_OUTCOME_UNKNOWN;
    if (in->err.code == ERR_OK || is_open) {
        in->err = *err;
        err_prefix(&in->err, "COPY %s, %s", p->plan->schema->name, place);
    }
}

static void fail_here(struct portal *p, struct copy_in *in, const struct err *err)
{
    char place[48];
    row_decoder_place(in->decoder, place, sizeof(place));
    fail(p, in, err, place);
}

/* Takes the results of what has ended; returns a free write, or NULL. */
static struct portal_write *collect(struct portal *p, struct copy_in *in, size_t *n_busy)
{
    struct portal_write *free_write = NULL;
    *n_busy = 0;
    for (size_t i = 0; i < COPY_IN_FLIGHT_MAX; i++) {
        struct portal_write *w = &in->writes[i];
        if (w->pending.is_busy && pending_collect(&w->pending)) {
            enum errcode code = w->pending.err.code;
            CHECK(w->n_rows > 0);
            in->n_done += w->n_rows;
            in->n_unknown += code == ERR_OUTCOME_UNKNOWN ? w->n_rows : 0;
            if (code == ERR_OK) {
                in->n_loaded += w->write.rows;
            } else {
                char place[80];
                snprintf(place, sizeof(place), "rows %" PRIu64 " to %" PRIu64, w->first_row,
                         w->first_row + w->n_rows - 1);
                fail(p, in, &w->pending.err, place);
            }
        }
        *n_busy += w->pending.is_busy ? 1 : 0;
        free_write = w->pending.is_busy ? free_write : w;
    }
    CHECK((free_write == NULL) == (*n_busy == COPY_IN_FLIGHT_MAX));
    return free_write;
}

static bool command_is_full(const struct copy_in *in)
{
    return in->command != NULL && (shard_command_rows(in->command) >= COPY_BATCH_ROWS_MAX ||
                                   shard_command_bytes(in->command) >= COPY_BATCH_BYTES_MAX);
}

/* False where every write is busy, or the log has no room: an event will tell. */
static bool flush(struct portal *p, struct copy_in *in)
{
    size_t n_busy;
    struct portal_write *w = collect(p, in, &n_busy);
    if (in->fd < 0) {
        portal_progress(p, "copy", in->n_done, row_decoder_total(in->decoder));
    }
    if (in->command == NULL || in->err.code != ERR_OK) {
        return true;
    }
    if (w == NULL) {
        return false;
    }
    struct err err;
    CHECK(!w->pending.is_busy && in->first_row > 0);
    w->first_row = in->first_row;
    w->n_rows = shard_command_rows(in->command);
    enum errcode code = portal_write_submit(p, w, in->command, &err);
    if (code == ERR_OVERLOADED) {
        return false;
    }
    in->command = NULL;
    if (code != ERR_OK) {
        fail_here(p, in, &err);
    }
    return true;
}

static enum errcode begin_command(struct portal *p, struct copy_in *in, struct err *err)
{
    CHECK(in->command == NULL && !in->is_drained);
    in->command = shard_command_new(p->plan->schema, err);
    in->first_row = in->n_rows + 1;
    if (in->seen != NULL) {
        memset(in->seen, 0, SEEN_SLOTS * sizeof(*in->seen));
    }
    return in->command != NULL ? ERR_OK : err->code;
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
static bool is_repeated(struct copy_in *in)
{
    if (in->seen == NULL || in->command == NULL || in->values[0].type == TYPE_NULL) {
        return false;
    }
    uint64_t hash = hash_key(&in->values[0]);
    size_t slot = hash % SEEN_SLOTS;
    while (in->seen[slot] != 0 && in->seen[slot] != hash) {
        slot = (slot + 1) % SEEN_SLOTS;
    }
    bool is_there = in->seen[slot] == hash;
    in->seen[slot] = hash;
    return is_there;
}

/* The row outlives the input that it was decoded from. */
static enum errcode hold_row(struct portal *p, struct copy_in *in, struct err *err)
{
    for (uint32_t i = 0; i < p->plan->schema->n_columns; i++) {
        struct value value = in->values[i];
        if (!value_copy(&in->values[i], &value, p->row_arena)) {
            return portal_no_memory(p, err);
        }
    }
    in->holds_row = true;
    return ERR_OK;
}

/* Of the row in values. */
static enum errcode add_row(struct portal *p, struct copy_in *in, struct err *err)
{
    if (in->command == NULL && begin_command(p, in, err) != ERR_OK) {
        return err->code;
    }
    if (is_repeated(in)) {
        return hold_row(p, in, err);
    }
    in->n_rows++;
    return shard_command_add(in->command, in->op, in->values, row_decoder_columns(in->decoder), 0,
                             err);
}

static const uint8_t no_data[1];

/* The next row in values: the one that is held, or from the input. */
static enum decoded next_row(struct portal *p, struct copy_in *in, struct err *err)
{
    if (in->holds_row) {
        in->holds_row = false;
        return DECODED_ROW;
    }
    arena_reset(p->row_arena);
    struct row_input input = {.bytes = in->pending.bytes - in->decoded, .is_last = in->is_ended};
    /* Without a byte of data the buffer has no memory that could be pointed into. */
    input.data = input.bytes == 0 ? no_data : in->pending.data + in->decoded;
    enum decoded decoded = row_decoder_next(in->decoder, &input, in->values, err);
    if (decoded == DECODED_BAD && err->code == ERR_OUT_OF_MEMORY && arena_failed(p->row_arena)) {
        portal_no_memory(p, err);
    }
    in->decoded += input.used;
    work_charge(&p->work, ROW_WORK + DECODED_BYTE_WORK * input.used);
    return decoded;
}

/* Decodes what is pending, or some of it: is_cut.  False where it must wait for a write. */
static bool pump(struct portal *p, struct copy_in *in)
{
    struct err err;
    int64_t work = 0;
    in->is_cut = false;
    while (in->err.code == ERR_OK && !in->is_drained) {
        in->is_cut = !p->is_heavy && work > COPY_INLINE_WORK_MAX;
        if (in->is_cut) {
            break;
        }
        if (work_spend(&p->work, 1, &err) != ERR_OK) {
            fail_here(p, in, &err);
            break;
        }
        if ((command_is_full(in) || in->holds_row) && !flush(p, in)) {
            return false;
        }
        size_t before = in->decoded;
        enum decoded decoded = next_row(p, in, &err);
        work += ROW_WORK + DECODED_BYTE_WORK * (int64_t)(in->decoded - before);
        if (decoded == DECODED_MORE) {
            break;
        }
        in->is_drained = decoded == DECODED_END;
        if (decoded == DECODED_BAD || (decoded == DECODED_ROW && add_row(p, in, &err) != ERR_OK)) {
            fail_here(p, in, &err);
        }
    }
    buf_discard(&in->pending, in->decoded);
    in->decoded = 0;
    return true;
}

/* ---- the client's data ---- */

static void note_cancel(struct portal *p, struct copy_in *in)
{
    struct err err;
    if (in->err.code == ERR_OK && portal_poll(p, &err) != ERR_OK) {
        fail_here(p, in, &err);
    }
}

/* Has portal_run called, whose step decodes the rest. */
static void go_on_later(struct portal *p, struct copy_in *in)
{
    p->is_heavy = true;
    while (!portal_park(p)) {
        note_cancel(p, in);
    }
    portal_event(p);
}

enum errcode portal_copy_data(struct portal *p, const void *data, size_t bytes, bool *is_full,
                              struct err *err)
{
    struct copy_in *in = p->verb_state;
    CHECK(p->state == PORTAL_IS_COPYING && !in->is_ended);
    *is_full = false;
    p->is_heavy = false;
    note_cancel(p, in);
    if (in->err.code == ERR_OK) {
        buf_bytes(&in->pending, data, bytes);
        if (in->pending.failed) {
            fail_here(p, in, (portal_no_memory(p, err), err));
        }
    }
    while (!*is_full && (!pump(p, in) || in->err.code != ERR_OK)) {
        note_cancel(p, in); /* The event that portal_park takes may have been one. */
        *is_full = portal_park(p);
    }
    if (in->is_cut) {
        go_on_later(p, in);
        *is_full = true;
    }
    if (p->phase != NULL) {
        portal_tell_progress(p);
    }
    if (in->err.code != ERR_OK) {
        portal_event(p); /* Only portal_run can tell of the failure. */
    }
    return ERR_OK;
}

void portal_copy_done(struct portal *p)
{
    struct copy_in *in = p->verb_state;
    CHECK(p->state == PORTAL_IS_COPYING);
    in->is_ended = true;
}

void portal_copy_fail(struct portal *p, const struct err *reason)
{
    struct copy_in *in = p->verb_state;
    CHECK(p->state == PORTAL_IS_COPYING);
    fail_here(p, in, reason);
    in->is_ended = true;
}

/* ---- the server's file ---- */

static enum errcode read_file(struct portal *p, struct copy_in *in, struct err *err)
{
    uint8_t *chunk = buf_reserve(&in->pending, COPY_CHUNK_BYTES);
    if (chunk == NULL) {
        return portal_no_memory(p, err);
    }
    ssize_t n = read(in->fd, chunk, COPY_CHUNK_BYTES);
    if (n < 0 && errno != EINTR) {
        return err_set_errno(err, ERR_IO, errno, "could not read the file \"%s\"",
                             p->plan->stmt->copy.file);
    }
    buf_commit(&in->pending, n > 0 ? (size_t)n : 0);
    in->is_ended = n == 0;
    in->file_done += n > 0 ? (uint64_t)n : 0;
    portal_progress(p, "copy, bytes", in->file_done, in->file_bytes);
    return ERR_OK;
}

/* On the pool: until the end, an error, or every write is busy. */
static bool pump_file(struct portal *p, struct copy_in *in)
{
    struct err err;
    for (;;) {
        if (!pump(p, in)) {
            return false;
        }
        if (in->is_drained || in->err.code != ERR_OK) {
            return true;
        }
        if (portal_poll(p, &err) != ERR_OK || read_file(p, in, &err) != ERR_OK) {
            fail_here(p, in, &err);
        }
    }
}

/* ---- steps ---- */

/* A COPY that failed can be run again; what is in must not stand in its way then. */
static void tell_loaded(const struct portal *p, const struct copy_in *in, struct err *err)
{
    if (in->n_unknown > 0) {
        err_detail(err, "%" PRIu64 " rows were loaded, and up to %" PRIu64 " more may have been.",
                   in->n_loaded, in->n_unknown);
    } else {
        err_detail(err, "%" PRIu64 " row%s loaded.", in->n_loaded,
                   in->n_loaded == 1 ? " was" : "s were");
    }
    if (in->n_loaded + in->n_unknown > 0 && p->plan->copy.on_conflict == CONFLICT_ERROR) {
        char hint[ERR_FIELD_BYTES];
        snprintf(hint, sizeof(hint), "%s", err->hint);
        err_hint(err,
                 "%s%sTo run it again over the rows that were loaded, write FROM ... ON CONFLICT "
                 "DO NOTHING.",
                 hint, hint[0] != '\0' ? " " : "");
    }
}

static enum step step_copy_in(struct portal *p, struct err *err)
{
    struct copy_in *in = p->verb_state;
    size_t n_busy;
    note_cancel(p, in);
    bool has_room = in->fd >= 0 ? pump_file(p, in) : pump(p, in);
    if (in->is_cut) {
        return STEP_POOL;
    }
    if (!has_room || (in->is_drained && !flush(p, in))) {
        return STEP_WAIT;
    }
    collect(p, in, &n_busy);
    if (!in->is_drained && in->err.code == ERR_OK) {
        return STEP_COPY_IN;
    }
    if (n_busy > 0) {
        return STEP_WAIT;
    }
    p->rows = in->n_loaded;
    if (in->err.code != ERR_OK) {
        *err = in->err;
        tell_loaded(p, in, err);
        return STEP_FAILED;
    }
    return STEP_DONE;
}

enum copy_format portal_copy_format(const struct portal *p, const uint8_t **types, size_t *n)
{
    *types = p->plan->copy.types;
    *n = p->plan->copy.format.n_columns;
    return p->plan->copy.format.kind;
}

const struct verb verb_copy_in = {
    .needs_shard = true,
    .keeps_steps = true,
    .polls_itself = true,
    .start = start_copy_in,
    .step = step_copy_in,
    .end = end_copy_in,
};
