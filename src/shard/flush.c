/* The overlay goes into the file: one synced transaction for everything that was applied since the
 * last one.
 *
 *   the active generation becomes the flushing one, a new one is active
 *   -> one LMDB transaction: rows, keys, dead rows, changes, the applied log index, and what
 *      calibration has measured since
 *   -> synced -> the generation goes, the log is cut behind the applied log index
 *
 * What fails is tried again with the same generation; the file is as it was before.  Meanwhile the
 * active generation grows, up to unflushed_max, and reads see everything.  On a full disk it joins
 * the one that failed, and deleted rows are done without (dead.c): what deletes must find a way.
 *
 * Changes and dead rows are kept for the graphs: a graph's checkpoint is of some log index, and
 * what came after it is staged again, in the log's order, from the changes, with vectors of rows
 * and of dead rows (dead.c).  A flush also removes those that every checkpoint has passed. */
#include "shard/calibration_int.h"
#include "shard/dead_int.h"
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/payload_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/vectors_int.h"

#include <signal.h>

enum {
    RETRY_US = 500000,
    CHANGES_REMOVED_MAX = 50000, /* In one flush. */
    WRITE_TRIES = 8,             /* Each makes the map larger, where it can. */
};

static void crash_if(enum fault_point point)
{
    if (fault_hit(point)) {
        (void)raise(SIGKILL);
    }
}

/* ---- the generation's content ---- */

/* The file may have a part of it already: all up to there->applied (write_content). */
static enum errcode write_keys(struct store_write *write, const struct generation *generation,
                               const struct store_meta *there, struct err *err)
{
    const struct row_version **versions;
    size_t n;
    enum errcode code = generation_sorted(generation, ORDER_BY_KEY, &versions, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct slice key = version_key(versions[i]);
        if (versions[i]->index <= there->applied) {
            continue;
        }
        if (versions[i]->row_bytes > 0) {
            code = store_put_key(write, key, versions[i]->number, err);
        } else {
            code = store_delete_key(write, key, err);
        }
    }
    mem_free(MEM_OVERLAY, versions);
    return code;
}

static enum errcode write_row(struct shard *shard, struct store_write *write,
                              const struct row_version *version, bool is_new, struct err *err)
{
    if (version->row_bytes == 0) {
        return dead_put(shard, write, version, is_new, err);
    }
    return is_new ? store_append(write, TABLE_ROWS, version->number, version_row(version), err)
                  : store_put(write, TABLE_ROWS, version->number, version_row(version), err);
}

static enum errcode write_rows(struct shard *shard, struct store_write *write,
                               const struct store_meta *there, struct err *err)
{
    CHECK(shard->flush_meta.applied > 0);
    const struct row_version **versions;
    size_t n;
    enum errcode code = generation_sorted(shard->flushing, ORDER_BY_NUMBER, &versions, &n, err);
    if (code == ERR_OK && n > 0) {
        payload_change(shard->payload, shard->flush_meta.applied, versions, n);
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (versions[i]->index > there->applied) {
            bool is_new = versions[i]->number >= there->next_row;
            code = write_row(shard, write, versions[i], is_new, err);
        }
    }
    mem_free(MEM_OVERLAY, versions);
    return code;
}

static enum errcode write_changes(struct store_write *write, const struct generation *generation,
                                  const struct store_meta *there, struct err *err)
{
    struct buf encoded;
    enum errcode code = ERR_OK;
    buf_init(&encoded, MEM_GENERAL, SIZE_MAX / 2);
    for (const struct change *change = generation_changes(generation);
         change != NULL && code == ERR_OK; change = change->next) {
        if (change->index <= there->applied) {
            continue;
        }
        buf_reset(&encoded);
        change_write(&encoded, change);
        code = encoded.failed ? err_no_memory(err)
                              : store_append(write, TABLE_CHANGES, change->index,
                                             (struct slice){encoded.data, encoded.bytes}, err);
    }
    buf_fini(&encoded);
    return code;
}

/* ---- what every checkpoint has passed ---- */

static enum errcode remove_change(struct store_write *write, uint64_t index, struct slice encoded,
                                  struct arena *arena, struct err *err)
{
    struct change change;
    enum errcode code = change_read(encoded, index, arena, &change, err);
    if (code == ERR_CORRUPT) {
        /* Nobody needs it any more; the rows that it named only take room. */
        log_err(LOG_WARNING, err, "a change is removed unread log_index=%llu",
                (unsigned long long)index);
        err_clear(err);
        code = ERR_OK;
    }
    for (size_t i = 0; i < change.n_deleted && code == ERR_OK; i++) {
        code = store_delete(write, TABLE_DEAD, change.deleted[i], err);
    }
    return code == ERR_OK ? store_delete(write, TABLE_CHANGES, index, err) : code;
}

/* In bounded slices; *covered is how far it came. */
static enum errcode remove_covered(struct store_write *write, uint64_t until, uint64_t *covered,
                                   struct err *err)
{
    enum errcode code = ERR_OK;
    size_t n = 0;
    bool is_done = until <= *covered;
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    if (arena == NULL) {
        return err_no_memory(err);
    }
    for (; n < CHANGES_REMOVED_MAX && !is_done; n++) {
        uint64_t index = 0;
        struct slice encoded;
        code = store_next_change(write, &index, &encoded, err);
        if (code != ERR_OK) {
            goto out;
        }
        is_done = encoded.data == NULL || index > until;
        if (!is_done) {
            code = remove_change(write, index, encoded, arena, err);
            if (code != ERR_OK) {
                goto out;
            }
            *covered = index;
            arena_reset(arena);
        }
    }
    CHECK(n <= CHANGES_REMOVED_MAX);
    if (is_done && until > *covered) {
        *covered = until;
    }
out:
    arena_free(arena);
    return code;
}

/* ---- the flush ---- */

/* @fresh takes the place of the active generation, and @flushing is what is to be written. */
static void turn_over_locked(struct shard *shard, struct generation *flushing,
                             struct generation *fresh) REQUIRES(shard->publish)
{
    CHECK(shard->flush_meta.applied <= shard->applied &&
          shard->flush_meta.next_row <= shard->next_row);
    shard->flushing = flushing;
    shard->active = fresh;
    shard->flush_meta.applied = shard->applied;
    shard->flush_meta.next_row = shard->next_row;
    shard->flush_meta.rows = shard->rows;
}

/* What a full disk has no room for it may have room for together with what came later, such as a
 * DELETE that empties the pages which an earlier one had to copy. */
static void join_active(struct shard *shard)
{
    struct err err;
    mutex_lock(&shard->apply);
    mutex_lock(&shard->publish);
    struct generation *older = shard->flushing;
    struct generation *newer = shard->active;
    bool is_more = shard->applied > shard->flush_meta.applied;
    mutex_unlock(&shard->publish); /* Who holds apply alone changes the active one. */
    struct generation *joined = is_more ? generation_join(older, newer, &err) : NULL;
    struct generation *fresh = joined != NULL ? generation_new(shard->next_row, &err) : NULL;
    if (fresh != NULL) {
        mutex_lock(&shard->publish);
        turn_over_locked(shard, joined, fresh);
        mutex_unlock(&shard->publish);
        generation_unref(older);
        generation_unref(newer);
    } else {
        generation_unref(joined); /* For want of memory: it goes on as it was. */
    }
    mutex_unlock(&shard->apply);
}

/* True where there is something to write; then shard.flushing and shard.flush_meta say what. */
static enum errcode begin_flush(struct shard *shard, bool *is_needed, struct err *err)
{
    *is_needed = true;
    if (shard->flushing != NULL) { /* The last one failed. */
        if (atomic_load(&shard->flush_error) == ERR_DISK_FULL) {
            join_active(shard);
        }
        return ERR_OK;
    }
    bool is_measured = remember_is_due(shard) || reindex_is_due(shard);
    mutex_lock(&shard->apply);
    mutex_lock(&shard->publish);
    CHECK(shard->flushed <= shard->applied && shard->active != NULL);
    *is_needed =
        is_measured || shard->applied > shard->flushed || dead_passed(shard) > shard->covered;
    struct generation *fresh = *is_needed ? generation_new(shard->next_row, err) : NULL;
    if (fresh != NULL) {
        turn_over_locked(shard, shard->active, fresh);
    }
    mutex_unlock(&shard->publish);
    mutex_unlock(&shard->apply);
    return *is_needed && fresh == NULL ? ERR_OUT_OF_MEMORY : ERR_OK;
}

/* A commit that failed may turn out to have been made: then all or a part is there. */
static enum errcode write_content(struct shard *shard, struct store_write *write, struct err *err)
{
    struct store_meta there;
    const struct generation *generation = shard->flushing;
    CHECK(generation != NULL);
    enum errcode code = store_write_meta(write, &there, err);
    if (code != ERR_OK || there.applied >= shard->flush_meta.applied) {
        return code;
    }
    if (dead_begin(shard, write, err) != ERR_OK) {
        return err->code;
    }
    code = write_rows(shard, write, &there, err);
    if (code == ERR_OK) {
        code = write_keys(write, generation, &there, err);
    }
    return code == ERR_OK ? write_changes(write, generation, &there, err) : code;
}

static enum errcode write_once(struct shard *shard, struct store_meta *meta, struct err *err)
{
    struct store_write *write;
    const struct generation *generation = shard->flushing;
    enum errcode code = store_write_begin(shard->store, generation_bytes(generation), &write, err);
    if (code != ERR_OK) {
        return code;
    }
    if (write_content(shard, write, err) != ERR_OK ||
        remove_covered(write, dead_passed(shard), &meta->covered, err) != ERR_OK ||
        remember_put(shard, write, err) != ERR_OK || reindex_put(shard, write, err) != ERR_OK) {
        store_abort(write);
        return err->code;
    }
    crash_if(FAULT_CRASH_BEFORE_FLUSH);
    code = store_commit(write, meta, err);
    if (code == ERR_OK) {
        crash_if(FAULT_CRASH_AFTER_FLUSH);
    }
    return code;
}

static enum errcode write_where_room_is(struct shard *shard, struct store_meta *meta,
                                        struct err *err)
{
    enum errcode code = ERR_OK;
    for (int i = 0; i < WRITE_TRIES && (i == 0 || code == ERR_OVERLOADED); i++) {
        meta->covered = shard->covered;
        code = write_once(shard, meta, err);
    }
    if (code == ERR_DISK_FULL) {
        store_trim(shard->store); /* The log and others want what is left. */
    }
    return code;
}

/* On a full disk the copies of deleted rows are done without: DELETE is the way out of it. */
static enum errcode write_generation(struct shard *shard, struct store_meta *meta, struct err *err)
{
    enum errcode code = write_where_room_is(shard, meta, err);
    if (code == ERR_DISK_FULL && shard->has_graph && !shard->is_forgetting) {
        dead_forget(shard);
        code = write_where_room_is(shard, meta, err);
    }
    if (code == ERR_OK) {
        dead_flushed(shard);
    } else if (code == ERR_DISK_FULL) {
        err_hint(err, "It is tried again by itself. Free space on this file system, DELETE more "
                      "rows, all of a collection if need be, or DROP one.");
    }
    return code;
}

static void end_flush(struct shard *shard, const struct store_meta *meta)
{
    struct generation *flushed = shard->flushing;
    CHECK(flushed != NULL);
    mutex_lock(&shard->publish);
    CHECK(meta->applied >= shard->flushed && meta->applied <= shard->applied);
    CHECK(meta->covered >= shard->covered);
    shard->flushing = NULL;
    shard_note_stored_locked(shard);
    shard->flushed = meta->applied;
    shard->covered = meta->covered;
    atomic_store(&shard->flush_error, ERR_OK);
    condition_broadcast(&shard->flushed_condition);
    mutex_unlock(&shard->publish);
    generation_unref(flushed);
    struct repl_group *group = atomic_load(&shard->group);
    if (group != NULL) {
        repl_group_cut(group, meta->applied);
    }
}

static void note_failure(struct shard *shard, enum errcode code)
{
    CHECK(code != ERR_OK);
    metric_add(METRIC_flush_failures, 1);
    mutex_lock(&shard->publish);
    atomic_store(&shard->flush_error, (int)code);
    condition_broadcast(&shard->flushed_condition);
    mutex_unlock(&shard->publish);
}

enum errcode shard_flush(struct shard *shard, struct err *err)
{
    CHECK(shard->store != NULL);
    bool is_needed, is_compactable = false;
    mutex_lock(&shard->flush);
    uint64_t started_us = clock_micros();
    enum errcode code = begin_flush(shard, &is_needed, err);
    if (code == ERR_OK && is_needed) {
        struct store_meta meta = shard->flush_meta;
        code = write_generation(shard, &meta, err);
        if (code == ERR_OK) {
            end_flush(shard, &meta);
            remember_done(shard);
            reindex_done(shard);
            metric_add(METRIC_flushes, 1);
            is_compactable = store_is_compaction_worth(shard->store);
            metric_observe_us(METRIC_flush, clock_micros() - started_us);
        }
    }
    shard->flush_tried_us = clock_micros();
    mutex_unlock(&shard->flush);
    if (code != ERR_OK) {
        note_failure(shard, code);
    }
    if (is_compactable) {
        shard_note_change(shard);
    }
    return code;
}

enum errcode shard_compact(struct shard *shard, struct err *err)
{
    enum errcode code = ERR_OK;
    mutex_lock(&shard->flush);
    if (store_is_compaction_worth(shard->store)) {
        code = store_compact(shard->store, err);
        mutex_lock(&shard->publish);
        shard_note_stored_locked(shard);
        mutex_unlock(&shard->publish);
    }
    mutex_unlock(&shard->flush);
    return code;
}

/* What begin_flush would find; may be one turn late, and then somebody wakes the flusher. */
static bool is_flush_needed(struct shard *shard)
{
    mutex_lock(&shard->publish);
    bool is_needed = shard->flushing != NULL || shard->applied > shard->flushed ||
                     dead_passed(shard) > shard->covered;
    mutex_unlock(&shard->publish);
    return is_needed || remember_is_due(shard) || reindex_is_due(shard);
}

/* Marked idle before it looks: what changes afterwards wakes it. */
static bool becomes_idle(struct shard *shard)
{
    atomic_store(&shard->is_flusher_idle, true);
    if (!is_flush_needed(shard)) {
        shard->has_flusher_rested = true;
        return true;
    }
    atomic_store(&shard->is_flusher_idle, false);
    if (shard->has_flusher_rested) {
        mutex_lock(&shard->flush);
        shard->flush_tried_us = clock_micros(); /* The interval begins now. */
        mutex_unlock(&shard->flush);
        shard->has_flusher_rested = false;
    }
    return false;
}

uint64_t shard_care_flush(struct shard *shard)
{
    CHECK_ROLE(flusher_thread);
    if (becomes_idle(shard)) {
        return UINT64_MAX;
    }
    uint64_t now = clock_micros();
    uint64_t interval_us = (uint64_t)shard_policy(shard, POLICY_flush_interval);
    uint64_t bytes_max = (uint64_t)shard_policy(shard, POLICY_flush_bytes);
    int failed = atomic_load(&shard->flush_error);
    mutex_lock(&shard->flush);
    uint64_t tried_us = shard->flush_tried_us;
    mutex_unlock(&shard->flush);
    uint64_t due_us = tried_us + (failed != ERR_OK ? RETRY_US : interval_us);
    bool is_large = failed == ERR_OK && shard_unflushed_bytes(shard) >= bytes_max;
    if (now < due_us && !is_large) {
        return due_us;
    }
    struct err err = {0};
    enum errcode code = shard_flush(shard, &err);
    if (code != ERR_OK && failed != (int)code) {
        log_err(LOG_ERROR, &err, "flush failed and will be tried again group=%llu",
                (unsigned long long)shard->group_id);
    } else if (code == ERR_OK && failed != ERR_OK) {
        log_line(LOG_INFO, "flush works again group=%llu", (unsigned long long)shard->group_id);
    }
    return clock_micros() + (code != ERR_OK ? RETRY_US : interval_us);
}
