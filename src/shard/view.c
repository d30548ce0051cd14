/* What a reader sees: all that was applied when the view was opened, and nothing later.
 *
 * A view is {the generations of the overlay, an LMDB read transaction, the applied log index}.  It
 * looks into the generations first, newest first, at versions up to its log index, and then into
 * the file.  The generations are taken before the transaction is begun, so what a flush moves from
 * one to the other meanwhile is seen twice, never not at all.  Should the file have been flushed
 * beyond the view's log index in between, it would show what is too new: the view starts again.
 *
 * Rows below the file's next row number are in the file, or were in it, and the generations only
 * say what became of them; rows from there on are in the generations alone.
 *
 * Closed views wait in a list for the next reader, with their LMDB reader slot and cursors. */
#include "shard/host_int.h"
#include "shard/overlay_int.h"
#include "shard/payload_int.h"
#include "shard/row_int.h"
#include "shard/shard_int.h"
#include "shard/store_int.h"
#include "shard/view_int.h"

enum {
    FREE_VIEWS_MAX = 64
};

/* Copies what there is to be seen; the free view or NULL. */
static struct shard_view *take_view(struct shard *shard)
{
    mutex_lock(&shard->publish);
    struct shard_view *view = shard->free_views;
    if (view != NULL) {
        shard->free_views = view->next_free;
        shard->n_free_views--;
    }
    shard->open_views++;
    mutex_unlock(&shard->publish);
    return view;
}

static void give_view_back(struct shard *shard, struct shard_view *view)
{
    mutex_lock(&shard->publish);
    bool is_kept = view != NULL && shard->n_free_views < FREE_VIEWS_MAX;
    if (is_kept) {
        view->next_free = shard->free_views;
        shard->free_views = view;
        shard->n_free_views++;
    }
    CHECK(shard->open_views > 0);
    CHECK(view == NULL || (view->n_generations == 0 && !view->is_reading));
    shard->open_views--;
    mutex_unlock(&shard->publish);
    if (view != NULL && !is_kept) {
        store_read_free(view->read);
        mem_free(MEM_GENERAL, view);
    }
}

static struct shard_view *view_new(struct shard *shard, struct err *err)
{
    CHECK(shard->store != NULL);
    struct shard_view *view = mem_zalloc(MEM_GENERAL, sizeof(*view));
    if (view == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    view->shard = shard;
    view->read = store_read_new(shard->store, err);
    if (view->read == NULL) {
        mem_free(MEM_GENERAL, view);
        return NULL;
    }
    return view;
}

static void hold_generations(struct shard *shard, struct shard_view *view)
{
    mutex_lock(&shard->publish);
    CHECK_HOT(shard->active != NULL);
    struct generation *all[2] = {shard->active, shard->flushing};
    view->n_generations = 0;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i] != NULL && generation_versions(all[i]) > 0) {
            generation_ref(all[i]);
            view->generations[view->n_generations++] = all[i];
        }
    }
    view->applied = shard->applied;
    view->rows = shard->rows;
    view->next_row = shard->next_row;
    mutex_unlock(&shard->publish);
}

static void drop_generations(struct shard_view *view)
{
    for (size_t i = 0; i < view->n_generations; i++) {
        generation_unref(view->generations[i]);
    }
    view->n_generations = 0;
}

/* ---- its place among the readers of payloads ---- */

const struct chunk *view_find_chunk(struct shard_view *view, uint64_t number)
{
    if (!view->is_reading) {
        view->place = payload_enter(host_payloads(view->shard->host));
        view->is_reading = true;
    }
    return payload_find(view->shard->payload, number, store_read_meta(view->read)->applied);
}

static void end_reading(struct shard_view *view)
{
    if (view->is_reading) {
        payload_leave(host_payloads(view->shard->host), view->place);
        view->is_reading = false;
        metric_add(METRIC_payload_hits, (int64_t)view->hits);
        metric_add(METRIC_payload_misses, (int64_t)view->misses);
        view->hits = view->misses = 0;
    }
}

/* ---- opened and closed ---- */

enum errcode shard_view_open(struct shard *shard, struct shard_view **out, struct err *err)
{
    struct shard_view *view = take_view(shard);
    if (view == NULL) {
        view = view_new(shard, err);
    }
    if (view == NULL) {
        give_view_back(shard, NULL);
        return err->code;
    }
    enum errcode code = ERR_OK;
    /* Each further turn needs a flush that began after the last one: this ends. */
    bool is_open = false;
    while (code == ERR_OK && !is_open) {
        hold_generations(shard, view);
        code = store_read_begin(view->read, err);
        is_open = code == ERR_OK && store_read_meta(view->read)->applied <= view->applied;
        if (!is_open) {
            drop_generations(view);
        }
        if (code == ERR_OK && !is_open) {
            store_read_end(view->read);
        }
    }
    if (code != ERR_OK) {
        give_view_back(shard, view);
        return code;
    }
    *out = view;
    return ERR_OK;
}

void shard_view_close(struct shard_view *view)
{
    if (view != NULL) {
        end_reading(view);
        store_read_end(view->read);
        drop_generations(view);
        give_view_back(view->shard, view);
    }
}

void views_free(struct shard *shard)
{
    mutex_lock(&shard->publish);
    CHECK(shard->open_views == 0);
    CHECK((shard->free_views == NULL) == (shard->n_free_views == 0));
    struct shard_view *view = shard->free_views;
    shard->free_views = NULL;
    shard->n_free_views = 0;
    mutex_unlock(&shard->publish);
    while (view != NULL) {
        struct shard_view *next = view->next_free;
        store_read_free(view->read);
        mem_free(MEM_GENERAL, view);
        view = next;
    }
}

/* ---- rows ---- */

void view_row_of_version(const struct row_version *version, struct shard_row *out, bool *found)
{
    struct slice row = version_row(version);
    CHECK_HOT(version->number > 0);
    *found = row.bytes > 0;
    *out = (struct shard_row){version->number, row.data, row.bytes};
}

enum errcode view_row_of_file(struct shard_view *view, uint64_t number, struct shard_row *out,
                              bool *found, struct err *err)
{
    struct slice row;
    enum errcode code = store_get(view->read, TABLE_ROWS, number, &row, err);
    *found = code == ERR_OK && row.data != NULL;
    *out = (struct shard_row){number, row.data, row.bytes};
    return code;
}

enum errcode view_find_key(struct shard_view *view, struct slice key, struct shard_row *out,
                           bool *found, struct err *err)
{
    CHECK_HOT(key.bytes > 0 && key.bytes <= KEY_BYTES_ENCODED_MAX);
    for (size_t i = 0; i < view->n_generations; i++) {
        const struct row_version *version =
            generation_by_key(view->generations[i], key, view->applied);
        if (version != NULL) {
            view_row_of_version(version, out, found);
            return ERR_OK;
        }
    }
    uint64_t number;
    enum errcode code = store_get_key(view->read, key, &number, found, err);
    if (code != ERR_OK || !*found) {
        return code;
    }
    code = view_row_of_file(view, number, out, found, err);
    if (code == ERR_OK && !*found) {
        return err_set(err, ERR_CORRUPT, "\"%s\": a key names row %llu, which is not there",
                       view->shard->directory, (unsigned long long)number);
    }
    return code;
}

enum errcode shard_view_get(struct shard_view *view, const struct value *key, struct shard_row *out,
                            bool *found, struct err *err)
{
    CHECK_HOT(key != NULL && out != NULL);
    const struct column *column = &view->shard->schema->columns[0];
    *found = false;
    if (key->type != column->type) {
        return err_set(err, ERR_TYPE_MISMATCH, "key \"%s\" is %s, the value is %s", column->name,
                       type_name(column->type), type_name(key->type));
    }
    if (key->type == TYPE_TEXT && key->text.bytes > KEY_BYTES_MAX) {
        return ERR_OK; /* Too long to be anybody's key. */
    }
    struct key encoded;
    key_encode(key, &encoded);
    return view_find_key(view, (struct slice){encoded.data, encoded.bytes}, out, found, err);
}

const struct row_version *view_find_version(const struct shard_view *view, uint64_t number)
{
    const struct row_version *version = NULL;
    for (size_t i = 0; i < view->n_generations && version == NULL; i++) {
        version = generation_by_number(view->generations[i], number, view->applied);
    }
    return version;
}

enum errcode shard_view_get_number(struct shard_view *view, uint64_t number, struct shard_row *out,
                                   bool *found, struct err *err)
{
    const struct row_version *version = view_find_version(view, number);
    if (version != NULL) {
        view_row_of_version(version, out, found);
        return ERR_OK;
    }
    return view_row_of_file(view, number, out, found, err);
}

/* The next row that the file has, as the view sees it. */
static enum errcode next_in_file(struct shard_view *view, uint64_t *from, struct shard_row *out,
                                 bool *found, struct err *err)
{
    uint64_t end = store_read_meta(view->read)->next_row;
    *found = false;
    while (*from < end && !*found) {
        struct slice row;
        uint64_t number = *from;
        enum errcode code = store_next(view->read, TABLE_ROWS, &number, &row, err);
        if (code != ERR_OK) {
            return code;
        }
        if (row.data == NULL) {
            break;
        }
        const struct row_version *version = view_find_version(view, number);
        if (version != NULL) {
            view_row_of_version(version, out, found);
        } else {
            *out = (struct shard_row){number, row.data, row.bytes};
            *found = true;
        }
        *from = number + 1;
    }
    if (!*found && *from < end) {
        *from = end;
    }
    return ERR_OK;
}

enum errcode shard_view_next(struct shard_view *view, uint64_t from, struct shard_row *out,
                             bool *found, struct err *err)
{
    enum errcode code = next_in_file(view, &from, out, found, err);
    for (; code == ERR_OK && !*found && from < view->next_row; from++) {
        const struct row_version *version = view_find_version(view, from);
        if (version != NULL) {
            view_row_of_version(version, out, found);
        }
    }
    return code;
}

uint64_t shard_view_count(const struct shard_view *view)
{
    return view->rows;
}
