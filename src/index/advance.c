/* Advancing: the staged changes enter the graph, in their order and chunk by chunk. */
#include "index/build_int.h"

/* The chunk or the delete that begins at @head; returns how many positions it takes. */
static size_t next_change(struct index *index, uint64_t head, uint32_t *slots, enum op_kind *kind)
{
    size_t n = 0;
    for (;;) {
        const struct op *op = queue_op(&index->queue, head + n);
        CHECK(n < INDEX_CHUNK && (n == 0 || op->kind == OP_INSERT));
        *kind = (enum op_kind)op->kind;
        slots[n++] = op->slot;
        if (op->ends_chunk || op->kind == OP_DELETE) {
            return n;
        }
    }
}

static enum errcode advance_one(struct index *index, const struct index_crew *crew, size_t *n_done,
                                struct err *err)
{
    uint64_t head = atomic_load_explicit(&index->queue.head, memory_order_relaxed);
    uint32_t slots[INDEX_CHUNK];
    enum op_kind kind;
    size_t n = next_change(index, head, slots, &kind);
    unsigned place = epoch_enter(&index->epochs, 0);
    enum errcode code = kind == OP_INSERT ? link_chunk(index, slots, n, crew, err)
                                          : unlink_row(index, slots[0], crew, err);
    epoch_leave(&index->epochs, place);
    if (code == ERR_OK) {
        queue_done(&index->queue, &index->epochs, head + n);
        *n_done += n;
        if (kind == OP_DELETE) {
            slots_retire(&index->slots, &index->epochs, slots[0]);
        }
    }
    return code;
}

enum errcode index_advance(struct index *index, size_t rows_max, const struct index_crew *crew,
                           size_t *n_done, struct err *err)
{
    *n_done = 0;
    enum errcode code = ERR_OK;
    mutex_lock(&index->advance_lock);
    unsigned place = epoch_enter(&index->epochs, 0);
    if (index_pending(index) > 0 && !edges_count_due(index)) {
        code = err_no_memory(err);
    }
    epoch_leave(&index->epochs, place);
    while (code == ERR_OK && *n_done < rows_max && index_pending(index) > 0) {
        code = advance_one(index, crew, n_done, err);
    }
    mutex_unlock(&index->advance_lock);
    return code;
}
