/* One group's Raft: events in, and for each update flag that comes out one function.
 *
 *   group_submit  -> SUBMIT             -> ENTRIES: written to the turn's transaction
 *   (the turn's commit)
 *   group_synced  -> PERSISTED_ENTRIES  -> COMMIT_INDEX: what is committed goes to the apply thread
 *                 -> SNAPSHOT           the owner has it: Raft forgets what the log has cut
 *   group_timeout -> TIMEOUT            -> TIMEOUT: the node's timer
 *   group_load    -> START              -> STATE: leader at once, with one voter
 *
 * No thread is started and no lock taken here; Raft is told the time, by base/clock.h.
 *
 * C-Raft 0.22 keeps no entries, only the terms of their indexes: an entry's memory is ours all the
 * time, and Raft hands back the very array that it was given.  RAFT_START and RAFT_SNAPSHOT take
 * over the configuration in their metadata, whatever happens.
 *
 * With one voter there is nobody to write to, no snapshot to receive, no vote to give, and a leader
 * never truncates its log: these are asserted, each in the place where its work would stand. */
#include <stdio.h>
#include <string.h>

#include "repl/log_store_int.h"
#include "repl/repl_int.h"

enum {
    ELECTION_TIMEOUT_MS = 1000,
    INFLIGHT_ENTRIES_MAX = 1 << 20, /* Raft's own 32 would cut group commit into small pieces. */
};

const struct role log_thread = {"this is the log thread"};

static raft_time now_ms(void)
{
    return clock_micros() / 1000;
}

static enum errcode fail_raft(const struct repl_group *g, int rc, const char *what, struct err *err)
{
    if (rc == RAFT_NOMEM) {
        return err_no_memory(err);
    }
    return err_set(err, rc == RAFT_MALFORMED ? ERR_CORRUPT : ERR_INTERNAL,
                   "could not %s in group %llu: %s", what, (unsigned long long)g->config.id,
                   raft_strerror(rc));
}

/* ---- what comes out of a step ---- */

static enum errcode on_term_or_vote(struct repl_group *g, struct err *err) REQUIRES(log_thread)
{
    struct log_state state = {
        .term = raft_current_term(&g->raft),
        .vote = raft_voted_for(&g->raft),
        .cut_index = g->cut_index,
        .cut_term = g->cut_term,
        .conf_index = g->conf_index,
        .conf = g->conf,
        .conf_bytes = g->conf_bytes,
    };
    return log_store_put_state(g->repl->store, g->config.id, &state, err);
}

/* The entries are those of fresh: they get their indexes and wait in written for the sync. */
static enum errcode on_entries(struct repl_group *g, const struct raft_update *update,
                               struct err *err) REQUIRES(log_thread)
{
    uint64_t index = update->entries.index;
    CHECK(index == g->last + 1 && update->entries.n == g->fresh.n);
    for (unsigned i = 0; i < update->entries.n; i++) {
        const struct raft_entry *from = &update->entries.batch[i];
        struct log_record record = {
            .index = index + i,
            .term = from->term,
            .type = from->type,
            .data = from->buf.base,
            .bytes = from->buf.len,
        };
        if (log_store_put(g->repl->store, g->config.id, &record, err) != ERR_OK) {
            return err->code;
        }
        struct entry *entry = entry_list_pop(&g->fresh);
        entry->index = record.index;
        entry_list_push(&g->written, entry);
    }
    g->last = index + update->entries.n - 1;
    return ERR_OK;
}

static void on_timeout(struct repl_group *g) REQUIRES(log_thread)
{
    uint64_t timer_us = raft_timeout(&g->raft) * 1000;
    if (timer_us < g->repl->timer_us) {
        g->repl->timer_us = timer_us;
    }
}

static enum errcode step(struct repl_group *g, struct raft_event *event, const char *what,
                         struct err *err) REQUIRES(log_thread)
{
    struct raft_update update;
    event->time = now_ms();
    int rc = raft_step(&g->raft, event, &update);
    if (rc != 0) {
        return fail_raft(g, rc, what, err);
    }
    if ((update.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) != 0 &&
        on_term_or_vote(g, err) != ERR_OK) {
        return err->code;
    }
    if ((update.flags & (RAFT_UPDATE_ENTRIES)) != 0 && on_entries(g, &update, err) != ERR_OK) {
        return err->code;
    }
    CHECK((update.flags & (RAFT_UPDATE_SNAPSHOT)) == 0);
    CHECK((update.flags & (RAFT_UPDATE_MESSAGES)) == 0);
    if ((update.flags & (RAFT_UPDATE_STATE)) != 0) {
        CHECK(raft_state(&g->raft) == RAFT_LEADER);
    }
    if ((update.flags & (RAFT_UPDATE_COMMIT_INDEX)) != 0) {
        CHECK(raft_commit_index(&g->raft) >= g->commit);
        g->commit = raft_commit_index(&g->raft);
        CHECK(g->commit <= g->stored); /* The only voter is this node. */
    }
    if ((update.flags & (RAFT_UPDATE_TIMEOUT)) != 0) {
        on_timeout(g);
    }
    return ERR_OK;
}

/* ---- a group's beginning ---- */

enum errcode group_bootstrap(struct repl_group *g, struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(g->stored == 0 && g->config.applied == 0);
    char address[24];
    snprintf(address, sizeof(address), "%llu", (unsigned long long)g->repl->config.node);
    struct raft_configuration conf;
    struct raft_buffer bytes = {NULL, 0};
    raft_configuration_init(&conf);
    int rc = raft_configuration_add(&conf, g->repl->config.node, address, RAFT_VOTER);
    if (rc == 0) {
        rc = raft_configuration_encode(&conf, &bytes);
    }
    raft_configuration_close(&conf);
    if (rc != 0) {
        return fail_raft(g, rc, "write the first configuration", err);
    }
    struct log_record record = {
        .index = 1, .term = 1, .type = RAFT_CHANGE, .data = bytes.base, .bytes = bytes.len};
    struct log_state state = {
        .term = 1, .conf_index = 1, .conf = bytes.base, .conf_bytes = bytes.len};
    enum errcode code = log_store_put(g->repl->store, g->config.id, &record, err);
    if (code == ERR_OK) {
        code = log_store_put_state(g->repl->store, g->config.id, &state, err);
    }
    raft_free(bytes.base);
    return code;
}

/* What a start needs of the log: the terms of all entries behind the cut. */
struct loaded {
    struct raft_entry *entries;
    size_t n, n_max;
};

static enum errcode load_entries(const struct repl_group *g, uint64_t cut_index,
                                 struct loaded *loaded, struct err *err)
{
    struct log_store *store = g->repl->store;
    struct log_record record;
    bool found;
    enum errcode code = log_store_seek(store, g->config.id, cut_index + 1, &record, &found, err);
    for (; code == ERR_OK && found; code = log_store_next(store, &record, &found, err)) {
        unsigned long long index = cut_index + 1 + loaded->n;
        if (record.index != index || record.term == 0) {
            return err_set(err, ERR_CORRUPT, "group %llu of the log has no entry %llu",
                           (unsigned long long)g->config.id, index);
        }
        if (loaded->n == loaded->n_max) {
            size_t n_max = loaded->n_max == 0 ? 64 : loaded->n_max * 2;
            void *more = mem_realloc(MEM_LOG, loaded->entries, n_max * sizeof(*loaded->entries));
            if (more == NULL) {
                return err_no_memory(err);
            }
            loaded->entries = more;
            loaded->n_max = n_max;
        }
        /* Raft looks into the configurations, during the step only. */
        loaded->entries[loaded->n++] = (struct raft_entry){
            .term = record.term,
            .type = record.type,
            .buf = {(void *)(uintptr_t)record.data, record.bytes},
        };
    }
    if (code == ERR_OK && cut_index == 0 &&
        (loaded->n == 0 || loaded->entries[0].type != RAFT_CHANGE)) {
        return err_set(err, ERR_CORRUPT, "group %llu of the log does not begin with its voters",
                       (unsigned long long)g->config.id);
    }
    return code;
}

static enum errcode start_raft(struct repl_group *g, const struct log_state *state,
                               struct loaded *loaded, struct err *err) REQUIRES(log_thread)
{
    struct raft_snapshot_metadata metadata = {
        .index = state->cut_index,
        .term = state->cut_term,
        .configuration_index = state->conf_index,
    };
    if (state->cut_index > 0) {
        const struct raft_buffer bytes = {g->conf, g->conf_bytes};
        int rc = raft_configuration_decode(&bytes, &metadata.configuration);
        if (rc != 0) {
            return fail_raft(g, rc, "read the configuration", err);
        }
    }
    struct raft_event event = {
        .type = RAFT_START,
        .start = {.term = state->term,
                  .voted_for = state->vote,
                  .metadata = state->cut_index > 0 ? &metadata : NULL,
                  .start_index = state->cut_index + 1,
                  .entries = loaded->entries,
                  .n_entries = (unsigned)loaded->n},
    };
    enum errcode code = step(g, &event, "start", err);
    if (code != ERR_OK && raft_state(&g->raft) == RAFT_FOLLOWER) {
        /* A start that fails before the election frees the array; one that fails in it, or that
         * succeeds, leaves it to us. */
        loaded->entries = NULL;
    }
    return code;
}

static enum errcode init_raft(struct repl_group *g, struct err *err) REQUIRES(log_thread)
{
    CHECK(!g->has_raft && g->repl->config.node > 0);
    char address[24];
    snprintf(address, sizeof(address), "%llu", (unsigned long long)g->repl->config.node);
    memset(&g->raft, 0, sizeof(g->raft));
    int rc = raft_init(&g->raft, NULL, NULL, g->repl->config.node, address);
    if (rc != 0) {
        return fail_raft(g, rc, "make Raft", err);
    }
    g->has_raft = true;
    uint64_t seed = hash_u64(g->config.id) ^ hash_u64(g->repl->config.node);
    raft_seed(&g->raft, (unsigned)seed);
    raft_set_election_timeout(&g->raft, ELECTION_TIMEOUT_MS);
    raft_set_max_inflight_entries(&g->raft, INFLIGHT_ENTRIES_MAX);
    raft_set_pre_vote(&g->raft, true);
    return ERR_OK;
}

static enum errcode keep_state(struct repl_group *g, const struct log_state *state, struct err *err)
    REQUIRES(log_thread)
{
    CHECK(g->conf == NULL);
    uint8_t *conf = mem_alloc(MEM_LOG, state->conf_bytes);
    if (conf == NULL) {
        return err_no_memory(err);
    }
    memcpy(conf, state->conf, state->conf_bytes);
    g->conf = conf;
    g->conf_bytes = state->conf_bytes;
    g->conf_index = state->conf_index;
    g->cut_index = state->cut_index;
    g->cut_term = state->cut_term;
    return ERR_OK;
}

enum errcode group_load(struct repl_group *g, bool *found, struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(!g->has_raft);
    struct log_store *store = g->repl->store;
    struct log_state state;
    struct loaded loaded = {NULL, 0, 0};
    *found = false;
    if (log_store_read_begin(store, false, err) != ERR_OK) {
        return err->code;
    }
    enum errcode code = log_store_state(store, g->config.id, &state, found, err);
    if (code != ERR_OK || !*found) {
        goto out;
    }
    if (state.is_doomed) {
        code = err_set(err, ERR_INTERNAL, "group %llu of the log was destroyed",
                       (unsigned long long)g->config.id);
        goto out;
    }
    if (keep_state(g, &state, err) != ERR_OK ||
        load_entries(g, state.cut_index, &loaded, err) != ERR_OK || init_raft(g, err) != ERR_OK) {
        code = err->code;
        goto out;
    }
    g->last = g->stored = state.cut_index + loaded.n;
    code = start_raft(g, &state, &loaded, err);
    if (code != ERR_OK) {
        goto out;
    }
    if (raft_state(&g->raft) != RAFT_LEADER || g->commit != g->stored) {
        code = err_set(err, ERR_CORRUPT, "group %llu of the log has other voters than this node",
                       (unsigned long long)g->config.id);
        goto out;
    }
    g->has_removal = true; /* A crash may have come between the cut and the removal. */
    on_timeout(g);
out:
    log_store_read_end(store);
    mem_free(MEM_LOG, loaded.entries);
    if (code != ERR_OK) {
        group_unload(g);
    }
    return code;
}

void group_unload(struct repl_group *g)
{
    CHECK_ROLE(log_thread);
    if (g->has_raft) {
        raft_close(&g->raft, NULL); /* Without a raft_io it only frees. */
        g->has_raft = false;
    }
    mem_free(MEM_LOG, g->conf);
    g->conf = NULL;
    g->cut_next = 0;
    g->is_touched = false;
}

/* ---- a group's work ---- */

enum errcode group_submit(struct repl_group *g, struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(g->has_raft && g->fresh.n > 0 && g->stored == g->last);
    struct repl *r = g->repl;
    if (g->fresh.n > r->n_raft_entries_max) {
        size_t n_max = g->fresh.n * 2;
        void *more = mem_realloc(MEM_LOG, r->raft_entries, n_max * sizeof(*r->raft_entries));
        if (more == NULL) {
            return err_no_memory(err);
        }
        r->raft_entries = more;
        r->n_raft_entries_max = n_max;
    }
    size_t n = 0;
    for (struct entry *e = g->fresh.first; e != NULL; e = e->next) {
        r->raft_entries[n++] = (struct raft_entry){
            .term = raft_current_term(&g->raft),
            .type = RAFT_COMMAND,
            .buf = {e->data, e->bytes},
            .batch = e,
        };
    }
    CHECK(n == g->fresh.n);
    struct raft_event event = {.type = RAFT_SUBMIT,
                               .submit = {.entries = r->raft_entries, .n = (unsigned)n}};
    g->is_touched = true;
    return step(g, &event, "submit", err);
}

bool group_has_cut(const struct repl_group *g)
{
    return g->has_raft && (g->has_removal || g->cut_target > g->cut_index);
}

enum errcode group_cut(struct repl_group *g, struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(group_has_cut(g) && g->cut_next == 0);
    struct log_store *store = g->repl->store;
    uint64_t to = g->cut_index;
    g->is_touched = true;
    if (g->cut_target > to) {
        CHECK(g->cut_target <= g->stored);
        to = g->cut_target;
        uint64_t term;
        if (log_store_term(store, g->config.id, to, &term, err) != ERR_OK) {
            return err->code;
        }
        struct log_state state = {
            .term = raft_current_term(&g->raft),
            .vote = raft_voted_for(&g->raft),
            .cut_index = to,
            .cut_term = term,
            .conf_index = g->conf_index,
            .conf = g->conf,
            .conf_bytes = g->conf_bytes,
        };
        if (log_store_put_state(store, g->config.id, &state, err) != ERR_OK) {
            return err->code;
        }
        g->cut_next = to;
        g->cut_term_next = term;
    }
    size_t n;
    if (log_store_remove(store, g->config.id, to, CUT_ENTRIES_MAX, &n, err) != ERR_OK) {
        return err->code;
    }
    g->has_removal = n == CUT_ENTRIES_MAX;
    return ERR_OK;
}

static void tell(const struct entry_list *list, enum repl_stage stage)
{
    for (struct entry *e = list->first; e != NULL; e = e->next) {
        if (e->write != NULL && e->write->wait_for <= stage) {
            entry_tell(e, NULL);
        }
    }
}

/* Raft forgets what the log has cut; with a new configuration index it would also take over the
 * metadata's configuration, so the one that it has is left alone. */
static enum errcode forget_cut(struct repl_group *g, struct err *err) REQUIRES(log_thread)
{
    CHECK(g->cut_next > g->cut_index);
    g->cut_index = g->cut_next;
    CHECK(g->cut_index <= g->stored);
    g->cut_term = g->cut_term_next;
    g->cut_next = 0;
    struct raft_event event = {
        .type = RAFT_SNAPSHOT,
        .snapshot = {.metadata = {.index = g->cut_index,
                                  .term = g->cut_term,
                                  .configuration_index = g->conf_index},
                     .trailing = 0},
    };
    return step(g, &event, "cut the log", err);
}

enum errcode group_synced(struct repl_group *g, struct entry_list *committed, struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(g->has_raft && g->last >= g->stored);
    g->is_touched = false;
    CHECK(!log_store_is_writing(g->repl->store));
    if (g->last > g->stored) {
        metric_add(METRIC_log_entries, (int64_t)(g->last - g->stored));
        g->stored = g->last;
        tell(&g->written, REPL_LEADER);
        struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES,
                                   .persisted_entries = {.index = g->stored}};
        if (step(g, &event, "commit", err) != ERR_OK) {
            return err->code;
        }
    }
    struct entry_list now = {NULL, NULL, 0, 0};
    while (g->written.first != NULL && g->written.first->index <= g->commit) {
        entry_list_push(&now, entry_list_pop(&g->written));
    }
    tell(&now, REPL_QUORUM);
    entry_list_join(committed, &now);
    return g->cut_next != 0 ? forget_cut(g, err) : ERR_OK;
}

enum errcode group_timeout(struct repl_group *g, struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(g->has_raft);
    struct raft_event event = {.type = RAFT_TIMEOUT};
    return step(g, &event, "tick", err);
}

enum errcode group_read(struct repl_group *g, size_t bytes_max, struct entry_list *out,
                        struct err *err)
{
    CHECK_ROLE(log_thread);
    CHECK(bytes_max > 0 && g->replay_next > 0);
    struct log_store *store = g->repl->store;
    struct log_record record;
    bool found;
    if (log_store_read_begin(store, true, err) != ERR_OK) {
        return err->code;
    }
    enum errcode code = log_store_seek(store, g->config.id, g->replay_next, &record, &found, err);
    while (code == ERR_OK && out->bytes < bytes_max && g->replay_next <= g->replay_last) {
        if (!found || record.index != g->replay_next) {
            code = err_set(err, ERR_CORRUPT, "group %llu of the log has no entry %llu",
                           (unsigned long long)g->config.id, (unsigned long long)g->replay_next);
            break;
        }
        if (record.type == RAFT_COMMAND) {
            uint8_t *data = mem_alloc(MEM_LOG, record.bytes);
            struct entry *entry = data == NULL ? NULL : entry_new(NULL, data, record.bytes);
            if (entry == NULL) {
                mem_free(MEM_LOG, data);
                code = err_no_memory(err);
                break;
            }
            memcpy(data, record.data, record.bytes);
            entry->index = record.index;
            entry_list_push(out, entry);
        }
        g->replay_next += 1;
        code = log_store_next(store, &record, &found, err);
    }
    log_store_read_end(store);
    return code;
}
