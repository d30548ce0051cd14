/* A graph comes back when its shard is opened.
 *
 *   checkpoint good: graph and vectors at log index s,
 *                    then the changes behind s staged in the log's order     -> CATCHING_UP
 *   none was needed yet: all changes staged in the log's order               -> CATCHING_UP
 *   it is lost or bad: every row staged in the order of row numbers          -> REBUILDING
 *   a flat index: the same, and nothing is to be linked
 *
 * What is staged is found by searches at once and linked by the indexer, so the shard serves
 * either way.  A checkpoint is never trusted: whatever is wrong with it, the log says so and the
 * graph is made anew.  But a graph that costs hours is not given up for a moment in which its file
 * cannot be read (no descriptor, no memory, a disk that fails): then the shard does not open, says
 * why, and whoever opens it tries again. */
#include "shard/calibration_int.h"
#include "shard/dead_int.h"
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

enum {
    REBUILD_ROWS = 1024, /* Staged by one call. */
    /* Each takes more than four bytes of its entry of the log. */
    CHANGE_ROWS_MAX = REPL_ENTRY_BYTES_MAX / 4
};

/* The body of a row that came with the change of log index @since; nothing where it is dead and let
 * go of.  Refuses what does not pass its checksum. */
static enum errcode find_body(const struct shard *shard, struct store_read *read, uint64_t since,
                              uint64_t number, struct slice *body, struct err *err)
{
    struct slice stored;
    uint64_t at = number;
    /* Changes name rows in rising order: the cursor is there already. */
    enum errcode code = store_next(read, TABLE_ROWS, &at, &stored, err);
    if (code == ERR_OK && (stored.data == NULL || at != number)) {
        code = store_get(read, TABLE_DEAD, number, &stored, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (stored.data == NULL && since <= shard->dead_forgotten) {
        *body = (struct slice){NULL, 0};
        return ERR_OK;
    }
    if (stored.data == NULL) {
        return err_set(err, ERR_CORRUPT, "row %llu is missing", (unsigned long long)number);
    }
    return row_check(number, stored, body, err);
}

static enum errcode stage_change(struct shard *shard, struct vector_index *v,
                                 struct store_read *read, const struct change *change,
                                 struct arena *arena, struct err *err)
{
    struct slice *bodies = arena_array(arena, (size_t)change->n_rows, sizeof(*bodies));
    if (bodies == NULL) {
        return err_no_memory(err);
    }
    for (uint64_t i = 0; i < change->n_rows; i++) {
        enum errcode code =
            find_body(shard, read, change->index, change->first_row + i, &bodies[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct staged_rows rows = {bodies, arena};
    return vector_index_stage(shard, v, change, &rows, err);
}

/* Stages the changes after @from. */
static enum errcode stage_changes(struct shard *shard, struct vector_index *v,
                                  struct store_read *read, uint64_t from, struct err *err)
{
    enum errcode code = dead_load(shard, read, err);
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    if (arena == NULL) {
        return err_no_memory(err);
    }
    for (uint64_t index = from + 1; code == ERR_OK; index++) {
        struct slice encoded;
        struct change change;
        code = store_next(read, TABLE_CHANGES, &index, &encoded, err);
        if (code != ERR_OK || encoded.data == NULL) {
            break;
        }
        code = change_read(encoded, index, arena, &change, err);
        if (code == ERR_OK && (change.n_rows > CHANGE_ROWS_MAX || change.n_rows > shard->next_row ||
                               change.first_row > shard->next_row - change.n_rows)) {
            code =
                err_set(err, ERR_CORRUPT, "the change of log index %llu names rows that cannot be",
                        (unsigned long long)index);
        }
        if (code == ERR_OK) {
            code = stage_change(shard, v, read, &change, arena, err);
        }
        arena_reset(arena);
    }
    arena_free(arena);
    return code;
}

/* ---- from the rows alone ---- */

/* Collects up to REBUILD_ROWS rows from *number on; bodies[i] is row first + i, or nothing. */
static enum errcode collect_rows(struct shard *shard, struct store_read *read, uint64_t *number,
                                 struct slice *bodies, struct change *change, struct err *err)
{
    change->first_row = *number;
    change->n_rows = 0;
    while (*number < shard->next_row) {
        struct slice stored;
        enum errcode code = store_next(read, TABLE_ROWS, number, &stored, err);
        if (code != ERR_OK) {
            return code;
        }
        if (stored.data == NULL) {
            *number = shard->next_row;
            break;
        }
        if (change->n_rows == 0) {
            change->first_row = *number;
        }
        uint64_t at = *number - change->first_row;
        if (at >= REBUILD_ROWS) {
            break;
        }
        while (change->n_rows < at) {
            bodies[change->n_rows++] = (struct slice){NULL, 0};
        }
        code = row_check(*number, stored, &bodies[at], err);
        if (code != ERR_OK) {
            return code;
        }
        change->n_rows = at + 1;
        (*number)++;
    }
    return ERR_OK;
}

static enum errcode stage_all(struct shard *shard, struct vector_index *v, struct store_read *read,
                              struct err *err)
{
    CHECK(v->index != NULL);
    enum errcode code = ERR_OK;
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    if (arena == NULL) {
        return err_no_memory(err);
    }
    for (uint64_t number = 1; number < shard->next_row && code == ERR_OK;) {
        struct change change = {.index = shard->applied};
        struct slice *bodies = arena_array(arena, REBUILD_ROWS, sizeof(*bodies));
        if (bodies == NULL) {
            code = err_no_memory(err);
            break;
        }
        code = collect_rows(shard, read, &number, bodies, &change, err);
        if (code == ERR_OK && change.n_rows > 0) {
            struct staged_rows rows = {bodies, arena};
            v->has_new_rows = false; /* Each call is the whole of its change. */
            code = vector_index_stage(shard, v, &change, &rows, err);
        }
        arena_reset(arena);
    }
    arena_free(arena);
    return code;
}

static enum errcode make_anew(struct shard *shard, struct vector_index *v, struct store_read *read,
                              const struct err *why, struct err *err)
{
    CHECK(v->index == NULL);
    const char *column = shard->schema->columns[v->column].name;
    if (why != NULL) {
        log_err(LOG_WARNING, why, "index is rebuilt group=%llu column=%s rows=%llu",
                (unsigned long long)shard->group_id, column, (unsigned long long)shard->rows);
        metric_add(METRIC_index_rebuilds, 1);
    }
    v->index = vector_index_new(shard, v, &v->parameters, err);
    if (v->index == NULL) {
        return err->code;
    }
    v->whole_from = shard->applied;
    enum errcode code = stage_all(shard, v, read, err);
    if (code == ERR_OK && why != NULL) {
        mutex_lock(&v->advance);
        vector_index_move(shard, v, INDEX_REBUILDING, "its checkpoint cannot be used");
        mutex_unlock(&v->advance);
    }
    return code;
}

/* From the checkpoint; or, where none was ever needed, from the changes alone, which are all there
 * until a checkpoint covers them. */
static enum errcode catch_up(struct shard *shard, struct vector_index *v, struct store_read *read,
                             struct err *err)
{
    CHECK(v->index == NULL && v->kind == INDEX_HNSW);
    struct checkpoint_id id = {0};
    enum errcode code = ERR_OK;
    if (shard->covered == 0 && !checkpoint_exists(shard, v)) {
        v->index = vector_index_new(shard, v, &v->parameters, err);
        code = v->index == NULL ? err->code : ERR_OK;
    } else if (!checkpoint_exists(shard, v)) {
        code = err_set(err, ERR_CORRUPT, "its checkpoint is missing");
    } else {
        code = checkpoint_load(shard, v, &id, err);
    }
    if (code == ERR_OK) {
        code = stage_changes(shard, v, read, id.sequence, err);
    }
    if (code != ERR_OK) {
        index_free(v->index);
        v->index = NULL;
        return code;
    }
    atomic_store(&v->checkpointed, id.sequence);
    remember_load(shard, v, read, &id);
    mutex_lock(&v->advance);
    if (index_pending(v->index) > 0) {
        vector_index_move(shard, v, INDEX_CATCHING_UP, "changes behind its checkpoint");
    }
    mutex_unlock(&v->advance);
    return ERR_OK;
}

/* A disk that fails may do so for ever, which only people can tell. */
static void hint_at_rebuilding(const struct shard *shard, const struct vector_index *v,
                               struct err *err)
{
    if (err->hint[0] == '\0') {
        err_hint(err,
                 "It is tried again. If it stays so, stop the server and remove index-%u.graph of "
                 "the shard of group %llu: the index is then built anew from its rows.",
                 v->column, (unsigned long long)shard->group_id);
    }
}

/* Loads @v from its checkpoint, or makes it anew from the rows; stages what came after. */
static enum errcode recover_index(struct shard *shard, struct vector_index *v, struct err *err)
{
    struct store_read *read = store_read_new(shard->store, err);
    enum errcode code = read == NULL ? err->code : store_read_begin(read, err);
    if (code != ERR_OK) {
        store_read_free(read);
        return code;
    }
    code = reindex_load(shard, v, read, err);
    if (err_is_of_the_moment(code)) {
        goto out;
    }
    if (code != ERR_OK) {
        /* The policies' parameters stand in for it. */
        log_err(LOG_WARNING, err, "an index is built as its policies say group=%llu",
                (unsigned long long)shard->group_id);
        err_clear(err);
    }
    if (v->kind == INDEX_FLAT) {
        code = make_anew(shard, v, read, NULL, err);
    } else {
        struct err why = {0};
        code = catch_up(shard, v, read, &why);
        if (err_is_of_the_moment(code)) {
            *err = why;
            hint_at_rebuilding(shard, v, err);
        } else if (code != ERR_OK) {
            code = make_anew(shard, v, read, &why, err);
        }
    }
out:
    store_read_end(read);
    store_read_free(read);
    return code;
}

/* ---- all of a shard's ---- */

/* A flat index compares exact vectors. */
static struct index_parameters parameters_by_policy(const struct shard *shard,
                                                    const struct vector_index *v)
{
    struct policy_value policy = host_policy_value(shard->host, shard->schema, POLICY_quantization);
    return (struct index_parameters){
        .m = (uint32_t)shard_policy(shard, POLICY_m),
        .ef_construction = (uint32_t)shard_policy(shard, POLICY_ef_construction),
        .quantization = v->kind == INDEX_FLAT
                            ? QUANTIZATION_NONE
                            : column_quantization(&shard->schema->columns[v->column], &policy),
    };
}

enum errcode vectors_open(struct shard *shard, struct err *err)
{
    CHECK(shard->vectors == NULL && shard->n_vectors == 0 && atomic_load(&shard->is_replaying));
    for (uint32_t i = 0; i < shard->schema->n_columns; i++) {
        shard->n_vectors += shard->schema->columns[i].type == TYPE_VECTOR;
    }
    if (shard->n_vectors == 0) {
        return ERR_OK;
    }
    shard->vectors = mem_zalloc(MEM_GENERAL, shard->n_vectors * sizeof(*shard->vectors));
    if (shard->vectors == NULL) {
        shard->n_vectors = 0;
        return err_no_memory(err);
    }
    size_t n = 0;
    for (uint32_t i = 0; i < shard->schema->n_columns; i++) {
        if (shard->schema->columns[i].type == TYPE_VECTOR) {
            struct vector_index *v = &shard->vectors[n++];
            v->column = i;
            v->kind = (enum index_kind)shard_policy(shard, POLICY_index);
            v->parameters = parameters_by_policy(shard, v);
            mutex_init(&v->advance);
            calibration_init(&v->calibration);
            shard->has_graph = shard->has_graph || v->kind == INDEX_HNSW;
        }
    }
    CHECK(n == shard->n_vectors);
    for (size_t i = 0; i < shard->n_vectors; i++) {
        enum errcode code = recover_index(shard, &shard->vectors[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

void vectors_close(struct shard *shard)
{
    for (size_t i = 0; i < shard->n_vectors; i++) {
        struct vector_index *v = &shard->vectors[i];
        CHECK(v->reindex == NULL && atomic_load(&v->users[0]) == 0 &&
              atomic_load(&v->users[1]) == 0);
        if (v->index != NULL) {
            index_free(v->index);
        }
        calibration_fini(&v->calibration);
        mutex_fini(&v->advance);
    }
    mem_free(MEM_GENERAL, shard->vectors);
    shard->vectors = NULL;
    shard->n_vectors = 0;
}
