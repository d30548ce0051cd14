/* What the files of src/index share.
 *
 * A row lives in a *slot*: its vector, its node (row number, level, state) and its layer-0
 * neighbour list stand at the slot's place in three regions; the few lists of upper layers stand
 * in a fourth.  Lists hold slots, but nothing depends on their numbers: they differ between
 * replicas, so every order is by distance, then by row number.
 *
 * Who writes what, while anyone may search:
 *   the staging thread    vectors and nodes of slots that no list names yet; PRESENT, HIDDEN;
 *                         the end of the queue; the row map
 *   the advancing thread  LINKED, the entry point, the front of the queue, in-edges; with its crew
 *                         neighbour lists
 * Slots, segments and larger regions change hands by epochs (epoch.c). */
#ifndef VECTRON_INDEX_INT_H
#define VECTRON_INDEX_INT_H

#include "index/index.h"

#include <stdatomic.h>

enum {
    SLOT_NONE = INT32_MAX, /* Ends a neighbour list that is not full. */
    SLOTS_MAX = INT32_MAX - 1,
    LEVEL_MAX = 15,
    LINKS_MAX = 2 * 64, /* The longest neighbour list: 2 m at m = 64. */
    READERS_MAX = 128,  /* Searches, and one advance or save, at one time; more wait. */
    CACHE_LINE = 64,
    BATCH = 64,             /* Rows whose distances are asked for at once in a scan. */
    POLL_FLOATS_A_ROW = 64, /* What a short vector costs beside its floats. */
};

/* ---- distances ---- */

/* Internally a distance is a *key*: smaller is nearer; L2 squared, or the negated inner product
 * for both others.  A key is never NaN: where finite vectors overflow it is the largest. */
struct space {
    const float *vectors;
    size_t stride; /* Floats from one slot's vector to the next. */
    uint32_t dim;
};

/* keys[i] = the key of query and the vector of slots[i].  Every variant adds up in an order that
 * depends on dim alone, so equal pairs have equal keys wherever they are computed. */
typedef void kernel_fn(const struct space *space, const float *query, const uint32_t *slots,
                       size_t n, float *keys);

struct kernel {
    const char *name;
    bool (*is_usable)(void);
    kernel_fn *l2, *dot;
};

extern const struct kernel kernel_scalar;
#if defined(__x86_64__)
extern const struct kernel kernel_avx2, kernel_avx512;
#endif

kernel_fn *kernel_for(enum distance distance);
/* Copies x to out, divided by its length where @distance wants that. */
enum errcode vector_prepare(enum distance distance, uint32_t dim, const float *x, float *out,
                            struct err *err) WARN_UNUSED;
float distance_of_key(enum distance distance, float key);

/* ---- epochs ---- */

struct reader_place {
    _Atomic uint64_t epoch; /* 0: nobody. */
    uint8_t unused[CACHE_LINE - sizeof(uint64_t)];
};

struct epochs {
    _Atomic uint64_t now;
    _Atomic bool is_closed;
    unsigned n_places; /* Twice as many as threads can run, and some; who comes later waits. */
    struct reader_place *places;
};

bool epochs_init(struct epochs *e) WARN_UNUSED;
void epochs_fini(struct epochs *e);
/* Until epoch_leave nothing that a reader can reach is used again and no region moves. */
unsigned epoch_enter(struct epochs *e, unsigned place_hint);
void epoch_leave(struct epochs *e, unsigned place);
/* What was taken out of reach before the call is marked with the result. */
uint64_t epoch_mark(struct epochs *e);
bool epoch_is_over(const struct epochs *e, uint64_t mark);
/* Keeps all readers out between the two. */
void epochs_close(struct epochs *e);
void epochs_open(struct epochs *e);

/* ---- slots ---- */

enum {
    SLOT_PRESENT = 1 << 0, /* Holds a row. */
    SLOT_LINKED = 1 << 1,  /* In the graph. */
    SLOT_HIDDEN = 1 << 2,  /* Its delete is staged. */
    SLOT_AWAITED = 1 << 3, /* Named by a checkpoint; its vector has not come yet. */
};

enum {
    CELL_EDGES = 3
};

/* Starts of edges that their end does not list (edges.c). */
struct edge_cell {
    uint32_t next;
    uint32_t from[CELL_EDGES];
};

/* The edges that end at a node on one layer: how many, and the first cell of those that it does not
 * list itself, or SLOT_NONE. */
struct in_edges {
    uint32_t count, cells;
};

struct node {
    uint64_t row;
    uint32_t upper;     /* Its list on layer 1, or SLOT_NONE. */
    struct in_edges in; /* Of layer 0; in a slot that waits or is free: the next one. */
    uint8_t level;
    _Atomic uint8_t state;
};

struct upper {
    uint32_t next; /* The same node's list one layer higher; a free one: the next one. */
    struct in_edges in;
    _Atomic uint32_t links[];
};

struct slots {
    struct mem_region vectors, links, nodes, uppers;
    struct mem_region cells; /* This and the two below: the advancing thread's. */
    uint32_t n_cells, free_cell;
    size_t stride;      /* Floats a vector. */
    size_t upper_bytes; /* A struct upper with its links. */
    uint32_t m;
    uint32_t capacity; /* Slots that fit without growing a region. */
    uint32_t uppers_capacity, n_uppers;
    _Atomic uint32_t n_used; /* Slots ever used; searches scan up to here. */

    struct mutex lock; /* Of the lists below, and of states while a flat index is saved. */
    uint32_t free_slot, free_upper;
    uint32_t n_free_slots, n_free_uppers;
    uint32_t limbo_new, limbo_old; /* Slots out of reach: since some time; since limbo_mark. */
    uint64_t limbo_mark;
};

bool slots_init(struct slots *slots, uint32_t dim, uint32_t m);
void slots_fini(struct slots *slots);
/* Room for @bytes in a region; it may move. */
bool slots_region_fits(struct mem_region *region, size_t bytes) WARN_UNUSED;
/* Takes n slots, and uppers for their levels; nothing where memory runs out. */
bool slots_take(struct slots *slots, struct epochs *epochs, const uint8_t *levels, size_t n,
                uint32_t *out) WARN_UNUSED;
/* The slot is out of every list; it is used again when no reader can see it. */
void slots_retire(struct slots *slots, struct epochs *epochs, uint32_t slot);

/* ---- the row map: row number to slot ---- */

struct row_map {
    uint32_t *slots; /* Open addressing; SLOT_NONE where empty. */
    size_t capacity, n;
};

void row_map_fini(struct row_map *map);
bool row_map_reserve(struct row_map *map, const struct slots *slots, size_t n_more) WARN_UNUSED;
void row_map_add(struct row_map *map, const struct slots *slots, uint32_t slot);
uint32_t row_map_find(const struct row_map *map, const struct slots *slots, uint64_t row);
void row_map_remove(struct row_map *map, const struct slots *slots, uint32_t slot);

/* ---- the queue of staged changes ---- */

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
    bool ends_chunk; /* The last row that is linked together with those before it. */
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

/* ---- the index ---- */

struct index {
    struct index_config config;
    kernel_fn *keys;
    struct slots slots;
    struct row_map map; /* The staging thread's. */
    struct queue queue;
    uint64_t row_next;  /* The staging thread's: larger than any row staged so far. */
    uint64_t row_fresh; /* Smaller ones were in the checkpoint: staging them is a replay. */

    struct mutex advance_lock; /* Held while the graph changes or is encoded. */
    uint64_t row_linked_end;   /* Under advance_lock: larger than any row ever linked. */
    uint32_t edges_due;        /* Under advance_lock: below it, slots of a load (edges.c). */
    _Atomic uint32_t entry;    /* SLOT_NONE while nothing is linked. */

    _Atomic size_t n_live;   /* Present and not hidden. */
    _Atomic size_t n_hidden; /* Present, hidden, and still in the graph. */
    _Atomic size_t n_linked;
    size_t n_awaited; /* While loading. */
    struct epochs epochs;
};

static inline struct node *node_at(const struct slots *slots, uint32_t slot)
{
    return (struct node *)slots->nodes.base + slot;
}

static inline float *vector_at(const struct slots *slots, uint32_t slot)
{
    return (float *)slots->vectors.base + (size_t)slot * slots->stride;
}

static inline struct upper *upper_at(const struct slots *slots, uint32_t upper)
{
    return (struct upper *)(void *)((char *)slots->uppers.base + upper * slots->upper_bytes);
}

/* The list on @layer of a slot whose level is at least that; links_max gives its length. */
_Atomic uint32_t *links_at(const struct slots *slots, uint32_t slot, unsigned layer);
struct in_edges *in_edges_at(const struct slots *slots, uint32_t slot, unsigned layer);
static inline size_t links_max(const struct slots *slots, unsigned layer)
{
    return layer == 0 ? 2 * slots->m : slots->m;
}
/* Copies a list, up to its end; returns how many. */
size_t links_copy(const struct slots *slots, uint32_t slot, unsigned layer, uint32_t *out);

static inline uint8_t slot_state(const struct slots *slots, uint32_t slot)
{
    return atomic_load_explicit(&node_at(slots, slot)->state, memory_order_acquire);
}

static inline bool slot_is_live(const struct slots *slots, uint32_t slot)
{
    return (slot_state(slots, slot) & (SLOT_PRESENT | SLOT_HIDDEN)) == SLOT_PRESENT;
}

static inline struct space space_of(const struct index *index)
{
    return (struct space){.vectors = index->slots.vectors.base,
                          .stride = index->slots.stride,
                          .dim = index->config.dim};
}

/* The level of a row: a function of seed and row number alone. */
uint8_t level_of(const struct index_config *config, uint64_t row);
/* A row's own memory, before anyone can reach it. */
void slot_fill(struct index *index, uint32_t slot, uint64_t row, const float *vector);
void slot_set_state(struct index *index, uint32_t slot, uint8_t state);

/* ---- checkpoints (save.c has the format) ---- */

#define SAVE_MAGIC UINT64_C(0x3158454449525456) /* "VTRIDEX1" */
enum {
    SAVE_VERSION = 1,
    SAVE_PREFIX_BYTES = 16,
    SAVE_BLOCK_BYTES = 1 << 16,    /* A block ends with the node that passes it. */
    SAVE_PART_BYTES_MAX = 1 << 17, /* A node has at most LEVEL_MAX + 2 lists of 64 numbers. */
};

/* ---- candidates ---- */

struct candidate {
    float key;
    uint32_t slot; /* In a walk's pool the top bit says that it was expanded. */
};

#define EXPANDED (UINT32_C(1) << 31)

/* Nearest first, ties by row; at most max, the farthest falls out. */
struct pool {
    struct candidate *items;
    size_t n, max, capacity;
};

void pool_fini(struct pool *pool);
bool pool_reset(struct pool *pool, size_t max) WARN_UNUSED;
/* Where it went; pool->max where it is too far. */
size_t pool_add(struct pool *pool, const struct slots *slots, struct candidate c);
/* False where pool_add would refuse, but for a tie. */
static inline bool pool_wants(const struct pool *pool, float key)
{
    return pool->n < pool->max || key <= pool->items[pool->n - 1].key;
}
/* The pool as a heap without a bound: the nearest comes out first. */
bool heap_push(struct pool *heap, const struct slots *slots, struct candidate c) WARN_UNUSED;
struct candidate heap_pop(struct pool *heap, const struct slots *slots);
bool candidate_is_nearer(const struct slots *slots, struct candidate a, struct candidate b);
void candidates_sort(const struct slots *slots, struct candidate *items, size_t n);

/* ---- scratch: what a searching thread keeps ---- */

enum {
    TOUCHED_MAX = 1 << 14
};

struct scratch {
    uint64_t *visited; /* A bit a slot. */
    size_t visited_words;
    uint32_t *touched; /* Words to clear; all of them once n_touched > TOUCHED_MAX. */
    size_t n_touched;
    struct pool near, tail, matching, frontier;
    float *query;
    size_t query_floats;
    unsigned place_hint;
};

struct scratch *scratch_get(struct err *err); /* This thread's; NULL where memory ran out. */
bool scratch_visit_none(struct scratch *s, uint32_t capacity) WARN_UNUSED;
float *scratch_query(struct scratch *s, size_t n_floats); /* NULL where memory ran out. */

/* True the first time. */
static inline bool scratch_visit(struct scratch *s, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << (slot % 64), *word = &s->visited[slot / 64];
    if (*word & bit) {
        return false;
    }
    if (*word == 0 && s->n_touched <= TOUCHED_MAX) {
        s->touched[s->n_touched++] = slot / 64;
    }
    *word |= bit;
    return true;
}

static inline bool scratch_has_visited(const struct scratch *s, uint32_t slot)
{
    return (s->visited[slot / 64] >> (slot % 64) & 1) != 0;
}

/* ---- walks (walk.c) ---- */

struct walk {
    const struct index *index;
    struct space space;
    struct scratch *scratch;
    const float *query;
    const struct index_search *search; /* NULL where the graph is built. */
    struct index_work *work;
    uint64_t polled_at; /* work->distances at the last question whether to cancel. */
    size_t n_visited;
    bool passes_over; /* Rows with this key are not seen. */
    float key_passed_over;
};

struct walk walk_start(const struct index *index, struct scratch *scratch, const float *query,
                       const struct index_search *search, struct index_work *work);
struct candidate walk_candidate(struct walk *w, uint32_t slot);
/* Greedy, from layer @from down to @to, both included (algorithm 2 with ef = 1). */
struct candidate walk_descend(struct walk *w, struct candidate at, unsigned from, unsigned to);
/* Forgets what was visited, then leaves the @ef nearest to be found from @starts in
 * scratch->near (algorithm 2).  The starts may stand in scratch->near themselves. */
enum errcode walk_layer(struct walk *w, unsigned layer, const struct candidate *starts,
                        size_t n_starts, size_t ef, struct err *err) WARN_UNUSED;
/* On layer 0: leaves up to @n_wanted rows that may be returned in scratch->matching.  Goes on until
 * it has them and what is left is farther than they, and than the ef nearest of all rows.
 * *gave_up is true where it reached filter_visits_max first. */
enum errcode walk_matching(struct walk *w, struct candidate start, size_t n_wanted, bool *gave_up,
                           struct err *err) WARN_UNUSED;
/* Whether a search may return the row: it is there, and the caller's filter matches. */
bool walk_may_return(struct walk *w, uint32_t slot);
bool walk_is_canceled(struct walk *w);
static inline void walk_keys(struct walk *w, const uint32_t *slots, size_t n, float *keys)
{
    w->index->keys(&w->space, w->query, slots, n, keys);
    w->work->distances += n;
}
/* Takes out what the walk does not see; how many are left. */
static inline size_t walk_pass_over(const struct walk *w, uint32_t *slots, float *keys, size_t n)
{
    if (!w->passes_over) {
        return n;
    }
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++) {
        if (keys[i] < w->key_passed_over || keys[i] > w->key_passed_over) {
            slots[n_left] = slots[i];
            keys[n_left++] = keys[i];
        }
    }
    return n_left;
}

/* ---- building (select.c, link.c, unlink.c) ---- */

/* By the crew, or by this thread where there is none. */
void crew_run(const struct index_crew *crew, size_t n, void (*run)(void *arg, size_t i), void *arg);

/* Algorithm 4: of n candidates around @base, nearest first, up to max that are nearer to it than to
 * any one chosen before.  Returns how many stand in out.  May change the order of ties. */
size_t select_neighbours(const struct index *index, uint32_t base, struct candidate *sorted,
                         size_t n, size_t max, uint32_t *out);
/* True where @c is nearer to the base than to each of @chosen. */
bool select_accepts(const struct index *index, struct candidate c, const uint32_t *chosen,
                    size_t n_chosen);
/* A set of slots as the base sees it: nearest first. */
void candidates_around(const struct index *index, uint32_t base, const uint32_t *slots, size_t n,
                       struct candidate *out);

/* Writes a list that searches may be reading. */
void links_write(const struct slots *slots, uint32_t slot, unsigned layer, const uint32_t *links,
                 size_t n);

/* ---- in-edges (edges.c): the advancing thread takes note of lists that are written ---- */

/* Room for n more cells, so that nothing below can fail; edges_trim gives back what was not used.
 */
bool edges_reserve(struct slots *slots, size_t n_more) WARN_UNUSED;
void edges_trim(struct slots *slots);
bool lists(const struct slots *slots, uint32_t from, unsigned layer, uint32_t slot);
/* An edge that was not counted: both rows' lists say all that they ever will. */
void edge_counted(struct slots *slots, unsigned layer, uint32_t from, uint32_t to);
/* All of the slots below edges_due; false where there is no memory, and the next call goes on. */
bool edges_count_due(struct index *index) WARN_UNUSED;
/* Those in either direction, of rows that had none before. */
void edges_between(struct slots *slots, unsigned layer, uint32_t a, uint32_t b);
/* Of any two rows; up to one cell more is taken for each. */
void edge_added(struct slots *slots, unsigned layer, uint32_t from, uint32_t to);
void edge_dropped(struct slots *slots, unsigned layer, uint32_t from, uint32_t to);
/* All who list the row, in no order: as many as its in_edges count. */
size_t in_neighbours(const struct slots *slots, uint32_t slot, unsigned layer, uint32_t *out);
/* All edges that begin or end at the row count no more; its list, and those with it, still stand.
 */
void edges_forget(struct slots *slots, uint32_t slot, unsigned layer);
/* Gives the edge a place, at the cost of one that can be spared where the list is full.  False
 * where it has none to spare. */
bool edge_force(struct index *index, unsigned layer, uint32_t from, uint32_t to);
/* Marks what the slot lists as visited; whether something marked is, or lists, another. */
void mark_listed(const struct slots *slots, struct scratch *s, uint32_t slot, unsigned layer);
bool is_led_to(const struct slots *slots, const struct scratch *s, uint32_t slot, unsigned layer);

/* Links the rows of one chunk.  On failure nothing has changed. */
enum errcode link_chunk(struct index *index, const uint32_t *slots, size_t n,
                        const struct index_crew *crew, struct err *err) WARN_UNUSED;
/* Takes a row out of all lists; the caller then retires the slot.  On failure nothing has changed.
 */
enum errcode unlink_row(struct index *index, uint32_t slot, const struct index_crew *crew,
                        struct err *err) WARN_UNUSED;

#endif
