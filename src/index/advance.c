/* Advancing: the staged changes enter the graph, in their order and chunk by chunk. */
#include "index/build_int.h"

enum {
    DELETES_A_ROW = 16 /* As many are as little work as one row, where no sweep follows. */
};

/* What may be done in one call; counted in rows that are linked. */
struct turn {
    struct index *index;
    const struct index_crew *crew;
    size_t rows_max, work;
    size_t n_done;
    bool has_unlinked;
};

static enum errcode advance_chunk(struct turn *turn, uint64_t head, struct err *err)
{
    struct index *index = turn->index;
    uint32_t slots[INDEX_CHUNK];
    size_t n = 0;
    for (bool is_end = false; !is_end; n++) {
        const struct op *op = queue_op(&index->queue, head + n);
        CHECK(n < INDEX_CHUNK && op->kind == OP_INSERT);
        slots[n] = op->slot;
        is_end = op->ends_chunk;
    }
    enum errcode code = link_chunk(index, slots, n, turn->crew, err);
    if (code == ERR_OK) {
        queue_done(&index->queue, &index->epochs, head + n);
        turn->work += n;
        turn->n_done += n;
    }
    return code;
}

/* Of one batch, and as far as the turn goes. */
static enum errcode advance_deletes(struct turn *turn, uint64_t head, struct err *err)
{
    struct index *index = turn->index;
    size_t n = 0;
    const struct op *op = queue_op(&index->queue, head);
    while (!op->ends_chunk && n / DELETES_A_ROW < turn->rows_max - turn->work) {
        unlink_row(index, op->slot);
        op = queue_op(&index->queue, head + ++n);
        CHECK(op->kind == OP_DELETE);
    }
    struct unlinked unlinked = {.is_over = false};
    enum errcode code = ERR_OK;
    turn->work += n / DELETES_A_ROW + 1;
    if (op->ends_chunk) {
        size_t rows_max = turn->rows_max > turn->work ? turn->rows_max - turn->work : 1;
        code = unlink_last(index, op->slot, rows_max, turn->crew, &unlinked, err);
        turn->work += unlinked.work;
        turn->has_unlinked = unlinked.is_over;
        n += unlinked.is_over ? 1 : 0;
    }
    if (n > 0) {
        queue_done(&index->queue, &index->epochs, head + n);
        turn->n_done += n;
    }
    return code;
}

/* What is to be settled before the next rows are linked; in no epoch, for it may take long. */
static enum errcode prepare_chunk(struct turn *turn, bool *is_ready, struct err *err)
{
    struct index *index = turn->index;
    *is_ready = !trial_is_due(index);
    if (*is_ready) {
        return centre_settle(index, turn->crew, err);
    }
    turn->work += INDEX_CHUNK;
    return trial_step(index, turn->crew, err);
}

static enum errcode advance_some(struct turn *turn, struct err *err)
{
    struct index *index = turn->index;
    uint64_t head = atomic_load_explicit(&index->queue.head, memory_order_relaxed);
    bool is_delete = queue_op(&index->queue, head)->kind == OP_DELETE, is_ready = true;
    enum errcode code = is_delete ? ERR_OK : prepare_chunk(turn, &is_ready, err);
    if (code != ERR_OK || !is_ready) {
        return code;
    }
    unsigned place = epoch_enter(&index->epochs, 0);
    code = is_delete ? advance_deletes(turn, head, err) : advance_chunk(turn, head, err);
    epoch_leave(&index->epochs, place);
    return code;
}

enum errcode index_advance(struct index *index, size_t rows_max, const struct index_crew *crew,
                           size_t *n_done, struct err *err)
{
    CHECK(rows_max > 0 && (crew == NULL || crew->for_each != NULL));
    struct turn turn = {.index = index, .crew = crew, .rows_max = rows_max};
    enum errcode code = ERR_OK;
    mutex_lock(&index->advance_lock);
    while (code == ERR_OK && turn.work < rows_max && index_pending(index) > 0) {
        code = advance_some(&turn, err);
    }
    if (turn.has_unlinked && atomic_load_explicit(&index->n_linked, memory_order_relaxed) == 0) {
        slots_give_back(&index->slots, &index->epochs);
    }
    mutex_unlock(&index->advance_lock);
    *n_done = turn.n_done;
    return code;
}
