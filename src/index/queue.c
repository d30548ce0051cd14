/* The queue of staged changes: a list of segments that one thread appends to, one takes from, and
 * any number of readers walk.
 *
 * The positions head and tail say what is staged.  The taker raises head, then lets go of segments
 * wholly behind it; so a reader that loads `first` before `head` never finds head before its
 * segment.  A segment is freed when its epoch is over. */
#include "index/queue_int.h"

static struct segment *segment_new(uint64_t first, uint64_t n)
{
    CHECK(n > 0);
    struct segment *segment =
        mem_alloc(MEM_GRAPH, sizeof(*segment) + (size_t)n * sizeof(segment->ops[0]));
    if (segment != NULL) {
        atomic_init(&segment->next, NULL);
        segment->first = first;
        segment->n = n;
    }
    return segment;
}

bool queue_init(struct queue *q)
{
    *q = (struct queue){.last = segment_new(0, SEGMENT_OPS_FIRST)};
    atomic_init(&q->first, q->last);
    atomic_init(&q->head, 0);
    atomic_init(&q->tail, 0);
    mutex_init(&q->lock);
    return q->last != NULL;
}

static void free_segments(struct segment *segment)
{
    while (segment != NULL) {
        struct segment *next = atomic_load_explicit(&segment->next, memory_order_relaxed);
        mem_free(MEM_GRAPH, segment);
        segment = next;
    }
}

void queue_fini(struct queue *q)
{
    free_segments(atomic_load_explicit(&q->first, memory_order_relaxed));
    while (q->retired != NULL) {
        struct segment *next = q->retired->next_retired;
        mem_free(MEM_GRAPH, q->retired);
        q->retired = next;
    }
    mutex_fini(&q->lock);
}

bool queue_reserve(struct queue *q, size_t n_ops)
{
    CHECK(q->last != NULL);
    uint64_t end = atomic_load_explicit(&q->tail, memory_order_relaxed) + n_ops;
    for (struct segment *at = q->last; at->first + at->n < end;) {
        struct segment *next = atomic_load_explicit(&at->next, memory_order_relaxed);
        if (next == NULL) {
            uint64_t n = at->n < SEGMENT_OPS_LAST ? 2 * at->n : SEGMENT_OPS_LAST;
            next = segment_new(at->first + at->n, n);
            if (next == NULL) {
                return false;
            }
            atomic_store_explicit(&at->next, next, memory_order_release);
        }
        at = next;
    }
    return true;
}

void queue_append(struct queue *q, uint64_t position, struct op op)
{
    CHECK(op.kind == OP_INSERT || op.kind == OP_DELETE);
    if (position == q->last->first + q->last->n) {
        q->last = atomic_load_explicit(&q->last->next, memory_order_relaxed);
    }
    CHECK(q->last != NULL && position - q->last->first < q->last->n);
    q->last->ops[position - q->last->first] = op;
}

void queue_publish(struct queue *q, uint64_t tail, uint64_t sequence)
{
    mutex_lock(&q->lock);
    /* A smaller one is a replay of what a checkpoint holds, and stages nothing. */
    CHECK(sequence >= q->sequence_staged ||
          tail == atomic_load_explicit(&q->tail, memory_order_relaxed));
    q->sequence_staged = sequence > q->sequence_staged ? sequence : q->sequence_staged;
    CHECK(tail >= atomic_load_explicit(&q->tail, memory_order_relaxed));
    atomic_store_explicit(&q->tail, tail, memory_order_release);
    mutex_unlock(&q->lock);
}

const struct op *queue_op(struct queue *q, uint64_t position)
{
    CHECK(position < atomic_load_explicit(&q->tail, memory_order_acquire));
    const struct segment *at = atomic_load_explicit(&q->first, memory_order_acquire);
    while (position - at->first >= at->n) {
        at = atomic_load_explicit(&at->next, memory_order_acquire);
        CHECK(at != NULL);
    }
    return &at->ops[position - at->first];
}

static void free_retired(struct queue *q, const struct epochs *epochs) REQUIRES(q->lock)
{
    struct segment **at = &q->retired;
    while (*at != NULL) {
        struct segment *segment = *at;
        if (epoch_is_over(epochs, segment->mark)) {
            *at = segment->next_retired;
            mem_free(MEM_GRAPH, segment);
        } else {
            at = &segment->next_retired;
        }
    }
}

void queue_done(struct queue *q, struct epochs *epochs, uint64_t head)
{
    CHECK(head > 0 && head <= atomic_load_explicit(&q->tail, memory_order_acquire));
    uint64_t sequence = queue_op(q, head - 1)->sequence;
    mutex_lock(&q->lock);
    CHECK(head >= atomic_load_explicit(&q->head, memory_order_relaxed));
    q->sequence_done = sequence;
    atomic_store_explicit(&q->head, head, memory_order_release);
    struct segment *first = atomic_load_explicit(&q->first, memory_order_relaxed);
    /* Strictly behind: the last segment stays for the staging thread to append to. */
    while (head > first->first + first->n) {
        struct segment *next = atomic_load_explicit(&first->next, memory_order_acquire);
        atomic_store_explicit(&q->first, next, memory_order_release);
        first->mark = epoch_mark(epochs);
        first->next_retired = q->retired;
        q->retired = first;
        first = next;
    }
    free_retired(q, epochs);
    mutex_unlock(&q->lock);
}

uint64_t queue_sequence(struct queue *q)
{
    mutex_lock(&q->lock);
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    bool is_empty = head == atomic_load_explicit(&q->tail, memory_order_relaxed);
    uint64_t sequence = is_empty ? q->sequence_staged : 0;
    if (!is_empty) {
        /* What is waiting hides the rest of its sequence. */
        uint64_t waiting = queue_op(q, head)->sequence;
        sequence = q->sequence_done < waiting ? q->sequence_done : waiting - 1;
    }
    mutex_unlock(&q->lock);
    return sequence;
}

struct queue_cursor queue_scan(struct queue *q)
{
    struct queue_cursor cursor;
    cursor.segment = atomic_load_explicit(&q->first, memory_order_acquire);
    cursor.at = atomic_load_explicit(&q->head, memory_order_acquire);
    cursor.end = atomic_load_explicit(&q->tail, memory_order_acquire);
    return cursor;
}

const struct op *queue_next(struct queue_cursor *cursor)
{
    CHECK_HOT(cursor->at <= cursor->end);
    if (cursor->at == cursor->end) {
        return NULL;
    }
    while (cursor->at - cursor->segment->first >= cursor->segment->n) {
        cursor->segment = atomic_load_explicit(&cursor->segment->next, memory_order_acquire);
    }
    return &cursor->segment->ops[cursor->at++ - cursor->segment->first];
}
