/* A command changes the shard.  On the apply thread of the log; cannot fail, only refuse.
 *
 *   decide    every row of the command is looked at against a view and against the rows before it
 *             in the command; a row that is refused refuses the command, and nothing has happened
 *   build     the versions that were decided on are made, in memory that nobody sees
 *   stage     each index is told: new rows, then deleted ones
 *   publish   the versions go into the tables, then the applied log index moves: views opened from
 *             here on see the whole command
 *
 * Where memory runs out, or a file cannot be read or written, the step is tried again until that is
 * over: an entry of the log must not be lost, and the flusher gives memory back.  A full disk stops
 * nothing here: room is made before the log takes a write, and where it is gone again when the log
 * is replayed, vectors wait for it in memory, so that a server on a full disk starts and is read.
 *
 * What it does depends on the log alone, so replicas agree.  An entry at or before the applied log
 * index is passed over: a replay does no harm.
 *
 * Row numbers: an update that leaves every vector as it is keeps its row's number, and the indexes
 * hear nothing of it.  One that changes a vector takes a new number, as if the row had been deleted
 * and inserted. */
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/vectors_int.h"
#include "shard/view_int.h"

#include <string.h>

enum {
    RETRY_US = 10000,
    TRIES_A_LINE = 1000, /* Of the log. */
    ROOM_WAIT_US = 100000,
    LINK_ROWS_MAX = 256, /* Of one turn; searches that wait hear of each. */
    IDLE_TURNS_MAX = 4,
    KEY_SHOWN_BYTES_MAX = 80,
};

/* What becomes of a row. */
enum fate {
    FATE_NEW,
    FATE_REPLACED,
    FATE_DELETED
};

struct decided {
    enum fate fate;
    uint64_t number; /* Of the row that there is; not NEW. */
    struct slice key;
    struct slice body; /* Not DELETED. */
    struct row_version *version;
};

/* Keys that the command has already met. */
struct met {
    struct slice key;
    bool is_there; /* A row has it now. */
};

struct decision {
    struct shard *shard;
    struct shard_view *view;
    struct arena *arena;
    struct decided *items;
    size_t n_items;
    struct met *met; /* A hash table; NULL for a command of one row. */
    size_t n_met_slots;
    uint64_t n_new, n_deleted;
    uint64_t rows; /* That were changed, as the client counts. */
    size_t n_rows; /* Of the command that were decided on. */
};

/* ---- decide ---- */

static struct met *find_met(struct decision *decision, struct slice key)
{
    if (decision->met == NULL) {
        return NULL;
    }
    size_t i = (size_t)hash_bytes(key.data, key.bytes, 0);
    for (;; i++) {
        struct met *met = &decision->met[i & (decision->n_met_slots - 1)];
        bool is_same = met->key.data != NULL && met->key.bytes == key.bytes &&
                       memcmp(met->key.data, key.data, key.bytes) == 0;
        if (met->key.data == NULL || is_same) {
            return met;
        }
    }
}

static void note_met(struct decision *decision, struct slice key, bool is_there)
{
    struct met *met = find_met(decision, key);
    if (met != NULL) {
        *met = (struct met){key, is_there};
    }
}

static void add_item(struct decision *decision, struct decided item)
{
    CHECK(item.key.bytes > 0 && item.version == NULL);
    CHECK((item.fate == FATE_DELETED) == (item.body.data == NULL));
    decision->items[decision->n_items++] = item;
    decision->n_new += item.fate == FATE_NEW;
    decision->n_deleted += item.fate == FATE_DELETED;
}

static enum errcode refuse(const struct decision *decision, struct slice key, enum errcode code,
                           const char *what, struct err *err)
{
    const struct schema *schema = decision->shard->schema;
    struct buf text;
    buf_init(&text, MEM_GENERAL, 4 * KEY_BYTES_ENCODED_MAX);
    struct value value;
    key_decode(key, &value);
    value_format(&text, &value);
    int shown = text.bytes > KEY_SHOWN_BYTES_MAX ? KEY_SHOWN_BYTES_MAX : (int)text.bytes;
    (void)err_set(err, code, "%s \"%.*s\" of collection \"%s\" %s", schema->columns[0].name, shown,
                  text.data == NULL ? "" : (const char *)text.data, schema->name, what);
    buf_fini(&text);
    err_collection(err, schema->name);
    err_column(err, schema->columns[0].name);
    return code;
}

static bool is_same_slice(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.data == NULL) == (b.data == NULL) &&
           (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static bool changes_a_vector(const struct schema *schema, const struct slice *before,
                             const struct slice *after)
{
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (schema->columns[i].type == TYPE_VECTOR && !is_same_slice(before[i], after[i])) {
            return true;
        }
    }
    return false;
}

/* The columns of @row as they are replaced by those of @after where @given has their bit. */
static enum errcode merge(struct decision *decision, const struct slice *before,
                          const struct slice *after, struct slice given, struct slice *body,
                          struct err *err)
{
    CHECK(given.bytes >= (decision->shard->schema->n_columns + 7) / 8);
    const struct schema *schema = decision->shard->schema;
    struct slice merged[COLUMNS_MAX];
    struct buf joined;
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        bool is_given = (given.data[i / 8] >> (i % 8) & 1) != 0;
        merged[i] = is_given ? after[i] : before[i];
    }
    buf_init(&joined, MEM_GENERAL, SIZE_MAX); /* Several writes may have made the row long. */
    row_join(&joined, schema, merged);
    *body = (struct slice){arena_copy(decision->arena, joined.data, joined.bytes), joined.bytes};
    bool failed = joined.failed || body->data == NULL;
    buf_fini(&joined);
    return failed ? err_no_memory(err) : ERR_OK;
}

/* The row that there is becomes @row's. */
static enum errcode decide_update(struct decision *decision, const struct command_row *row,
                                  struct slice key, const struct slice *after,
                                  const struct shard_row *there, struct err *err)
{
    const struct schema *schema = decision->shard->schema;
    struct slice stored = {there->data, there->bytes};
    struct slice before_body;
    struct slice before[COLUMNS_MAX];
    struct slice body = row->body;
    enum errcode code = row_check(there->number, stored, &before_body, err);
    if (code == ERR_OK) {
        code = row_split(schema, before_body, before, err);
    }
    if (code == ERR_OK && row->columns.data != NULL) {
        code = merge(decision, before, after, row->columns, &body, err);
    }
    struct slice now[COLUMNS_MAX];
    if (code == ERR_OK) {
        code = row_split(schema, body, now, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (changes_a_vector(schema, before, now)) {
        add_item(decision, (struct decided){FATE_DELETED, there->number, key, {NULL, 0}, NULL});
        add_item(decision, (struct decided){FATE_NEW, 0, key, body, NULL});
    } else {
        add_item(decision, (struct decided){FATE_REPLACED, there->number, key, body, NULL});
    }
    decision->rows++;
    return ERR_OK;
}

static enum errcode decide_stamped(struct decision *decision, const struct command_row *row,
                                   struct slice key, const struct slice *after,
                                   const struct shard_row *there, struct err *err)
{
    if (there == NULL || shard_row_stamp(there) != row->stamp) {
        return refuse(decision, key, ERR_CONFLICT, "was changed by another statement", err);
    }
    if (row->op == SHARD_REPLACE) {
        return decide_update(decision, row, key, after, there, err);
    }
    add_item(decision, (struct decided){FATE_DELETED, there->number, key, {NULL, 0}, NULL});
    decision->rows++;
    return ERR_OK;
}

/* @there is the row that has the key, or NULL. */
static enum errcode decide_op(struct decision *decision, const struct command_row *row,
                              struct slice key, const struct slice *after,
                              const struct shard_row *there, struct err *err)
{
    switch (row->op) {
    case SHARD_REPLACE:
    case SHARD_DELETE:
        return decide_stamped(decision, row, key, after, there, err);
    case SHARD_UPSERT:
        if (there != NULL) {
            return decide_update(decision, row, key, after, there, err);
        }
        break;
    case SHARD_INSERT:
        if (there != NULL) {
            return refuse(decision, key, ERR_DUPLICATE_KEY, "exists already", err);
        }
        break;
    case SHARD_INSERT_IGNORE:
        if (there != NULL) {
            return ERR_OK;
        }
        break;
    }
    add_item(decision, (struct decided){FATE_NEW, 0, key, row->body, NULL});
    decision->rows++;
    return ERR_OK;
}

static enum errcode decide_met(struct decision *decision, const struct command_row *row,
                               struct slice key, const struct slice *after, const struct met *met,
                               struct err *err)
{
    bool is_insert = row->op == SHARD_INSERT || row->op == SHARD_INSERT_IGNORE;
    if (is_insert && !met->is_there) {
        return decide_op(decision, row, key, after, NULL, err);
    }
    if (row->op == SHARD_INSERT_IGNORE) {
        return ERR_OK;
    }
    if (row->op == SHARD_INSERT || row->op == SHARD_UPSERT) {
        return refuse(decision, key, ERR_DUPLICATE_KEY, "occurs twice in one write", err);
    }
    return refuse(decision, key, ERR_CONFLICT, "is changed twice in one write", err);
}

static enum errcode decide_row(struct decision *decision, const struct command_row *row,
                               struct err *err)
{
    const struct schema *schema = decision->shard->schema;
    struct slice after[COLUMNS_MAX];
    struct slice key = row->key;
    enum errcode code = ERR_OK;
    if (row->body.data != NULL) {
        struct key encoded;
        code = row_split(schema, row->body, after, err);
        if (code == ERR_OK) {
            code = key_from_column(schema, after[0], &encoded, err);
        }
        if (code == ERR_OK) {
            key = (struct slice){arena_copy(decision->arena, encoded.data, encoded.bytes),
                                 encoded.bytes};
            code = key.data == NULL ? err_no_memory(err) : ERR_OK;
        }
    }
    if (code != ERR_OK) {
        return code;
    }
    const struct met *met = find_met(decision, key);
    if (met != NULL && met->key.data != NULL) {
        code = decide_met(decision, row, key, after, met, err);
    } else {
        struct shard_row there;
        bool found;
        code = view_find_key(decision->view, key, &there, &found, err);
        if (code == ERR_OK) {
            code = decide_op(decision, row, key, after, found ? &there : NULL, err);
        }
    }
    note_met(decision, key, row->op != SHARD_DELETE);
    return code;
}

static enum errcode decide_command(struct decision *decision, struct slice data, struct err *err)
{
    struct command_reader reader;
    enum errcode code = command_open(&reader, decision->shard->schema, data, err);
    if (code != ERR_OK) {
        return code;
    }
    size_t n_rows = reader.rows_left;
    if (n_rows > 1) {
        decision->n_met_slots = 4;
        while (decision->n_met_slots < 2 * n_rows) {
            decision->n_met_slots *= 2;
        }
        decision->met =
            arena_zalloc(decision->arena, decision->n_met_slots * sizeof(*decision->met));
    }
    decision->items = arena_array(decision->arena, 2 * n_rows, sizeof(*decision->items));
    if (arena_failed(decision->arena)) {
        return err_no_memory(err);
    }
    CHECK(decision->n_items == 0 && decision->rows == 0);
    while (reader.rows_left > 0 && code == ERR_OK) {
        struct command_row row;
        code = command_next(&reader, &row, err);
        if (code == ERR_OK) {
            code = decide_row(decision, &row, err);
        }
        decision->n_rows += code == ERR_OK ? 1 : 0;
    }
    return code;
}

/* ---- build ---- */

struct built {
    struct change *change; /* NULL where no index hears of the command. */
    struct staged_rows rows;
};

static enum errcode build_version(struct decision *decision, struct decided *item, uint64_t index,
                                  uint64_t number, struct err *err)
{
    CHECK(index > 0);
    size_t row_bytes = item->fate == FATE_DELETED ? 0 : ROW_CHECKSUM_BYTES + item->body.bytes;
    struct row_version *version =
        generation_version(decision->shard->active, item->key.bytes, row_bytes, err);
    if (version == NULL) {
        return ERR_OUT_OF_MEMORY;
    }
    version->index = index;
    version->number = number;
    memcpy(version->data, item->key.data, item->key.bytes);
    if (row_bytes > 0) {
        row_store(version->data + item->key.bytes, number, item->body);
    }
    item->version = version;
    return ERR_OK;
}

static enum errcode build(struct decision *decision, uint64_t index, struct built *out,
                          struct err *err)
{
    struct shard *shard = decision->shard;
    struct slice *bodies = arena_array(decision->arena, (size_t)decision->n_new, sizeof(*bodies));
    uint64_t *deleted = NULL;
    *out = (struct built){.rows = {bodies, decision->arena}};
    if (bodies == NULL) {
        return err_no_memory(err);
    }
    CHECK(index > shard->applied);
    enum errcode code = generation_reserve(shard->active, decision->n_items, err);
    if (code == ERR_OK && decision->n_new + decision->n_deleted > 0 && shard->n_vectors > 0) {
        out->change = generation_change(shard->active, (size_t)decision->n_deleted, &deleted, err);
        code = out->change == NULL ? ERR_OUT_OF_MEMORY : ERR_OK;
    }
    if (code != ERR_OK) {
        return code;
    }
    if (out->change != NULL) {
        out->change->index = index;
        out->change->first_row = shard->next_row;
        out->change->n_rows = decision->n_new;
    }
    uint64_t number = shard->next_row;
    size_t n_deleted = 0;
    for (size_t i = 0; i < decision->n_items && code == ERR_OK; i++) {
        struct decided *item = &decision->items[i];
        bool is_new = item->fate == FATE_NEW;
        if (is_new) {
            bodies[number - shard->next_row] = item->body;
        } else if (item->fate == FATE_DELETED && deleted != NULL) {
            deleted[n_deleted++] = item->number;
        }
        code = build_version(decision, item, index, is_new ? number++ : item->number, err);
    }
    CHECK(code != ERR_OK || deleted == NULL || n_deleted == decision->n_deleted);
    CHECK(code != ERR_OK || number == shard->next_row + decision->n_new);
    return code;
}

/* ---- stage, publish ---- */

/* Said the first time, and every ten seconds. */
static void wait_for_memory(const struct shard *shard, uint64_t index, unsigned n_tries,
                            struct err *err)
{
    CHECK(err->code != ERR_OK);
    if (n_tries % TRIES_A_LINE == 0) {
        log_err(LOG_ERROR, err, "apply waits for memory or the disk group=%llu log_index=%llu",
                (unsigned long long)shard->group_id, (unsigned long long)index);
    }
    err_clear(err);
    clock_sleep_micros(RETRY_US);
}

static void stage(struct shard *shard, const struct built *built)
{
    struct err err = {0};
    for (size_t i = 0; i < shard->n_vectors && built->change != NULL; i++) {
        unsigned n_tries = 0;
        while (vector_index_stage(shard, &shard->vectors[i], built->change, &built->rows, &err) !=
               ERR_OK) {
            CHECK(err_is_of_the_moment(err.code)); /* Every row was decoded when decided on. */
            if (err.code == ERR_DISK_FULL && vector_index_use_memory(&shard->vectors[i])) {
                err_clear(&err);
                continue;
            }
            atomic_store(&shard->stage_error, (int)err.code);
            wait_for_memory(shard, built->change->index, n_tries++, &err);
        }
    }
    atomic_store(&shard->stage_error, ERR_OK);
}

static void move_applied(struct shard *shard, uint64_t index, uint64_t n_new, uint64_t n_deleted)
{
    mutex_lock(&shard->publish);
    CHECK(index > shard->applied);
    shard->applied = index;
    shard->next_row += n_new;
    shard->rows += n_new;
    shard->rows -= n_deleted;
    mutex_unlock(&shard->publish);
}

static void publish(struct decision *decision, uint64_t index, const struct built *built)
{
    struct shard *shard = decision->shard;
    for (size_t i = 0; i < decision->n_items; i++) {
        CHECK(decision->items[i].version != NULL);
        generation_publish(shard->active, decision->items[i].version);
    }
    if (built->change != NULL && shard->has_graph) {
        generation_publish_change(shard->active, built->change);
    }
    move_applied(shard, index, decision->n_new, decision->n_deleted);
    metric_add(METRIC_rows_written, (int64_t)decision->rows);
}

/* The command's result; *rows is how many it changed, or which row of it was refused, from 0. */
static enum errcode try_entry(struct shard *shard, const struct repl_entry *entry, uint64_t *rows,
                              struct err *err)
{
    struct decision decision = {.shard = shard, .arena = shard->scratch};
    struct built built;
    enum errcode code = shard_view_open(shard, &decision.view, err);
    if (code != ERR_OK) {
        return code;
    }
    code = decide_command(&decision, (struct slice){entry->data, entry->bytes}, err);
    *rows = decision.n_rows;
    if (code == ERR_OK) {
        code = build(&decision, entry->index, &built, err);
    }
    shard_view_close(decision.view);
    if (code == ERR_OK) {
        stage(shard, &built);
        publish(&decision, entry->index, &built);
        *rows = decision.rows;
    }
    return code;
}

static enum errcode apply_entry(struct shard *shard, const struct repl_entry *entry, uint64_t *rows,
                                struct err *err)
{
    CHECK(entry->index > 0 && entry->data != NULL);
    enum errcode code;
    for (unsigned n_tries = 0;; n_tries++) {
        mutex_lock(&shard->apply);
        *rows = 0;
        code = entry->index <= shard->applied ? ERR_OK : try_entry(shard, entry, rows, err);
        if (code != ERR_OK && !err_is_of_the_moment(code)) {
            move_applied(shard, entry->index, 0, 0);
        }
        arena_reset(shard->scratch);
        mutex_unlock(&shard->apply);
        if (!err_is_of_the_moment(code)) { /* Later the same entry would do something else. */
            return code;
        }
        wait_for_memory(shard, entry->index, n_tries, err);
    }
}

/* ---- the batch ---- */

/* Waits until the overlay has room, as long as a flush may still make some. */
static void wait_for_room(struct shard *shard)
{
    uint64_t bytes_max = (uint64_t)shard_policy(shard, POLICY_unflushed_max);
    mutex_lock(&shard->publish);
    while (shard_unflushed_bytes_locked(shard) > bytes_max &&
           atomic_load(&shard->flush_error) == ERR_OK) {
        host_wake_flusher(shard);
        (void)condition_wait_until(&shard->flushed_condition, &shard->publish,
                                   clock_micros() + ROOM_WAIT_US);
    }
    mutex_unlock(&shard->publish);
}

/* Links what was staged, as long as it comes forward.  A sweep of a large graph takes many turns in
 * which nothing is done: the indexer goes on with it, for writes must not wait so long. */
static bool link_all(struct shard *shard, struct vector_index *v)
{
    size_t pending = vector_index_pending(v);
    bool is_more = pending > 0;
    for (size_t n_idle = 0;
         is_more && n_idle < IDLE_TURNS_MAX && atomic_load(&v->state) == INDEX_CURRENT;) {
        struct err err = {0};
        if (vector_index_advance(shard, v, LINK_ROWS_MAX, &is_more, &err) != ERR_OK) {
            log_err(LOG_WARNING, &err, "linking failed group=%llu",
                    (unsigned long long)shard->group_id);
        }
        size_t before = pending;
        pending = vector_index_pending(v);
        n_idle = pending < before ? 0 : n_idle + 1;
    }
    return !is_more;
}

/* Unless the index is behind for other reasons. */
static void link_staged(struct shard *shard)
{
    bool is_sync = shard_policy(shard, POLICY_index_mode) == INDEX_MODE_SYNC &&
                   !atomic_load(&shard->is_replaying);
    bool is_left = !is_sync && shard->n_vectors > 0;
    for (size_t i = 0; i < shard->n_vectors && is_sync; i++) {
        is_left = !link_all(shard, &shard->vectors[i]) || is_left;
    }
    if (is_left) {
        host_wake_indexer(shard);
    }
}

static void complete(struct shard *shard, struct shard_write *writes)
{
    while (writes != NULL) {
        struct shard_write *write = writes;
        writes = write->next;
        CHECK(write->shard == shard && write->index > 0);
        write->next = NULL;
        if (write->ack == ACK_INDEXED) {
            atomic_store(&write->is_applied, true);
            mutex_lock(&shard->waiting);
            CHECK(shard->waiting_last == NULL || shard->waiting_first == NULL ||
                  shard->waiting_last->index < write->index);
            if (shard->waiting_first == NULL) {
                shard->waiting_first = write;
            } else {
                shard->waiting_last->next = write;
            }
            shard->waiting_last = write;
            mutex_unlock(&shard->waiting);
        } else {
            repl_write_applied(&write->repl, write->index, NULL);
        }
    }
    shard_complete_indexed(shard);
}

/* Nobody waits for it: it is replayed, and was answered before, or it was acknowledged early, which
 * only damaged data can turn into a loss. */
static void log_refused(const struct shard *shard, const struct repl_entry *entry,
                        enum errcode code, const struct err *err)
{
    bool is_damage = code != ERR_OK && code != ERR_DUPLICATE_KEY && code != ERR_CONFLICT;
    if (is_damage) {
        log_err(LOG_ERROR, err, "a write was refused group=%llu log_index=%llu",
                (unsigned long long)shard->group_id, (unsigned long long)entry->index);
    }
}

void shard_apply(void *arg, const struct repl_entry *entries, size_t n)
{
    CHECK_ROLE(apply_thread);
    CHECK(n > 0);
    struct shard *shard = arg;
    struct shard_write *first = NULL;
    struct shard_write **link = &first;
    wait_for_room(shard);
    for (size_t i = 0; i < n; i++) {
        struct err err = {0};
        uint64_t rows;
        enum errcode code = apply_entry(shard, &entries[i], &rows, &err);
        if (entries[i].write == NULL) {
            log_refused(shard, &entries[i], code, &err);
            continue;
        }
        struct shard_write *write = CONTAINER_OF(entries[i].write, struct shard_write, repl);
        write->rows = rows;
        write->index = entries[i].index;
        write->next = NULL;
        if (code != ERR_OK) {
            repl_write_applied(&write->repl, write->index, &err);
        } else {
            *link = write;
            link = &write->next;
        }
    }
    link_staged(shard);
    complete(shard, first);
    shard_note_change(shard);
    if (shard_unflushed_bytes(shard) >= (uint64_t)shard_policy(shard, POLICY_flush_bytes)) {
        host_wake_flusher(shard);
    }
}

void shard_complete_indexed(struct shard *shard)
{
    uint64_t linked = vectors_linked(shard);
    for (;;) {
        mutex_lock(&shard->waiting);
        struct shard_write *write = shard->waiting_first;
        bool is_linked = write != NULL && write->index <= linked;
        if (is_linked) {
            shard->waiting_first = write->next;
            if (write->next == NULL) {
                shard->waiting_last = NULL;
            }
        }
        mutex_unlock(&shard->waiting);
        if (!is_linked) {
            return;
        }
        repl_write_applied(&write->repl, write->index, NULL);
    }
}

/* ---- submitting ---- */

static void write_done(struct repl_write *repl, uint64_t index, const struct err *err)
{
    struct shard_write *write = CONTAINER_OF(repl, struct shard_write, repl);
    write->index = index;
    metric_observe_us(METRIC_write, clock_micros() - write->submitted_us);
    write->done(write, err);
}

/* Not asked of what only deletes: it is the way out. */
static enum errcode check_size(struct shard *shard, const struct shard_command *command,
                               struct err *err)
{
    size_t bytes = shard_command_bytes(command);
    if (!command_grows(command) || !shard_is_full(shard, bytes)) {
        return ERR_OK;
    }
    atomic_store(&shard->refused_bytes, bytes);
    (void)err_set(
        err, ERR_DISK_FULL,
        "collection \"%s\" has no room for %zu bytes more: it would be larger than map_size",
        shard->schema->name, bytes);
    err_hint(err, "Delete rows, which is always possible, or raise map_size.");
    err_collection(err, shard->schema->name);
    return ERR_DISK_FULL;
}

/* Vectors are in their own files, whose room is made before the log has the command: what is in the
 * log must be applied. */
static enum errcode check_vectors(struct shard *shard, const struct shard_command *command,
                                  struct err *err)
{
    enum errcode code =
        command_grows(command) ? (enum errcode)atomic_load(&shard->stage_error) : ERR_OK;
    if (code != ERR_OK) {
        (void)err_set(err, code, "\"%s\" cannot be written, and a write waits for it",
                      shard->directory);
    }
    size_t in_flight = repl_group_in_flight(atomic_load(&shard->group));
    for (size_t i = 0; i < shard->n_vectors && code == ERR_OK && command_grows(command); i++) {
        code =
            vector_index_make_room(&shard->vectors[i], shard_command_rows(command), in_flight, err);
    }
    if (code == ERR_DISK_FULL) {
        err_hint(err, "Free disk space; reads go on, and writes resume by themselves.");
        err_collection(err, shard->schema->name);
    }
    return code;
}

static enum errcode check_room(struct shard *shard, const struct shard_command *command,
                               struct err *err)
{
    enum errcode code = check_size(shard, command, err);
    if (code == ERR_OK) {
        code = check_vectors(shard, command, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    enum errcode failed = (enum errcode)atomic_load(&shard->flush_error);
    if (failed == ERR_OK ||
        shard_unflushed_bytes(shard) <= (uint64_t)shard_policy(shard, POLICY_unflushed_max)) {
        return ERR_OK;
    }
    (void)err_set(err, failed, "\"%s\" cannot be written, and unflushed_max rows wait for it",
                  shard->directory);
    err_collection(err, shard->schema->name);
    if (failed == ERR_DISK_FULL) {
        err_hint(err, "Free disk space; reads go on, and writes resume by themselves.");
    }
    return failed;
}

static void room_ready(struct repl_room *repl)
{
    struct shard_room *room = CONTAINER_OF(repl, struct shard_room, repl);
    room->ready(room);
}

void shard_room_init(struct shard_room *room, void (*ready)(struct shard_room *room))
{
    CHECK(ready != NULL);
    *room = (struct shard_room){.ready = ready, .repl = {.ready = room_ready}};
}

void shard_room_leave(struct shard_room *room)
{
    repl_room_leave(&room->repl);
}

enum errcode shard_submit(struct shard *shard, struct shard_command *command,
                          struct shard_write *write, struct err *err)
{
    static const enum repl_stage stages[] = {
        [ACK_RECEIVED] = REPL_RECEIVED, [ACK_LEADER] = REPL_LEADER,   [ACK_QUORUM] = REPL_QUORUM,
        [ACK_VISIBLE] = REPL_APPLIED,   [ACK_INDEXED] = REPL_APPLIED,
    };
    CHECK((size_t)write->ack < COUNT_OF(stages) && write->done != NULL);
    CHECK(shard_command_rows(command) > 0);
    enum errcode code = check_room(shard, command, err);
    if (code == ERR_OK) {
        size_t bytes;
        if (write->ack < ACK_VISIBLE && command_can_be_refused(command)) {
            write->ack = ACK_VISIBLE;
        }
        bool is_shrinking = !command_grows(command);
        void *data = command_take(command, &bytes);
        write->shard = shard;
        write->rows = shard_command_rows(command); /* Until apply counts them. */
        write->index = 0;
        write->next = NULL;
        write->submitted_us = clock_micros();
        atomic_init(&write->is_applied, false);
        write->repl = (struct repl_write){.wait_for = stages[write->ack],
                                          .done = write_done,
                                          .is_shrinking = is_shrinking,
                                          .room = write->room != NULL ? &write->room->repl : NULL};
        code = repl_submit(atomic_load(&shard->group), &write->repl, data, bytes, err);
        /* Where it is well the write may be gone already. */
        if (code == ERR_OVERLOADED && write->room != NULL) {
            command_give_back(command, data, bytes);
            return code;
        }
    }
    shard_command_free(command);
    return code;
}

bool shard_withdraw(struct shard_write *write)
{
    return repl_withdraw(&write->repl);
}

bool shard_has_applied(const struct shard_write *write)
{
    return atomic_load(&write->is_applied);
}
