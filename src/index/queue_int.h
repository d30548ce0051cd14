/* The queue of staged changes. */
#ifndef VECTRON_INDEX_QUEUE_INT_H
#define VECTRON_INDEX_QUEUE_INT_H

#include "index/epoch_int.h"

enum op_kind {
    OP_INSERT,
    OP_DELETE
};
enum {
    SEGMENT_OPS_FIRST =
        16, /* Each segment has twice as many as the one before it, up to the last. */
    SEGMENT_OPS_LAST = 1024
};

struct op {
    uint64_t sequence;
    uint32_t slot;
    uint8_t kind;
    bool ends_chunk; /* The last that is linked together with those before it, or deleted so. */
};

struct segment {
    struct segment *_Atomic next;
    struct segment *next_retired;
    uint64_t first; /* Position of ops[0]. */
    uint64_t n;     /* Room for so many. */
    uint64_t mark;
    struct op ops[];
};

/* Positions rise forever; [head, tail) is staged and not yet done. */
struct queue {
    struct segment *_Atomic first;
    _Atomic uint64_t head, tail;
    struct segment *last;     /* The staging thread's. */
    struct segment *retired;  /* The advancing thread's. */
    uint64_t sequence_staged; /* Under lock, with tail. */
    uint64_t sequence_done;   /* Under lock, with head. */
    struct mutex lock;
};

bool queue_init(struct queue *q);
void queue_fini(struct queue *q);
bool queue_reserve(struct queue *q, size_t n_ops) WARN_UNUSED;
/* Appends what queue_reserve made room for; seen by others after queue_publish. */
void queue_append(struct queue *q, uint64_t position, struct op op);
void queue_publish(struct queue *q, uint64_t tail, uint64_t sequence);
/* The advancing thread's: the op at a position in [head, tail), and "all before is done". */
const struct op *queue_op(struct queue *q, uint64_t position);
void queue_done(struct queue *q, struct epochs *epochs, uint64_t head);
uint64_t queue_sequence(struct queue *q);

struct queue_cursor {
    const struct segment *segment;
    uint64_t at, end;
};
/* For readers: walks [head, tail) as of now. */
struct queue_cursor queue_scan(struct queue *q);
const struct op *queue_next(struct queue_cursor *cursor);

#endif
