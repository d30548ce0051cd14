/* The columns of rows in memory.
 *
 *   chunk   head | present | nulls, a word a column | cells, 64 a column | texts
 *   cell    8 bytes: a number, a boolean, or where a text or UUID begins among the texts and its
 *           bytes.  Texts of more than TEXT_KEPT_MAX bytes, and vectors, are not kept.
 *
 * Why a reader never sees a row of another time.  The file changes by flushes, each up to a log
 * index; a view's file is as of one of them, and a chunk's *birth* is that of the view that it was
 * read through.  A view uses a chunk only if its own flush is not before the birth, so what the
 * view may see of a row differs from the chunk's only where a flush in between has changed the row.
 * Such a flush has marked the row as stale before it was committed, thus before the view was
 * opened.  A chunk that was not in its place yet when a flush marked what it changes is refused at
 * its door: it was born before that flush.  Rows that are younger than the chunk are not known to
 * it.
 *
 * Threads.  Readers take no lock.  What changes which chunks there are is done under the pool's
 * mutex.  Memory that a reader may still look at waits for it: a reader counts itself in at the
 * current of two places, and what is taken out of the tables in the time of one place is freed when
 * that place and the one before have been seen empty in turn (src/index/epoch.c has the proof of
 * the same with more threads).
 *
 * What is asked for stays: a hand goes round over all chunks of the node and takes the first that
 * was not looked at since it last passed. */
#include "shard/overlay_int.h"
#include "shard/payload_int.h"
#include "shard/row_int.h"
#include "shard/store_int.h"

#include <string.h>

enum {
    TEXT_KEPT_MAX = 1024,
    PAGE_CHUNKS = 128,
    LINE_CELLS = 8, /* Of a line of the cache. */
    FULL_TURNS =
        16, /* One of so many rows that are missed has its chunk made, if others go for it. */
    STALE_MISSES_MAX = 32, /* Then a chunk is made anew. */
};

struct retired {
    struct retired *next;
};

struct chunk {
    struct retired retired; /* First. */
    struct payload *payload;
    struct chunk *prev, *next; /* Of the hand's round; under the mutex, as bytes. */
    size_t bytes;
    uint64_t first; /* Number of its first row. */
    uint64_t birth;
    uint64_t known; /* Rows that were in the file, or had been, when it was born. */
    uint64_t present;
    _Atomic uint64_t stale;
    _Atomic uint32_t stale_misses;
    atomic_bool is_used; /* Since the hand passed. */
    uint32_t n_cells;
    uint64_t words[]; /* nulls[n_cells], cells[n_cells][CHUNK_ROWS], texts */
};

struct page {
    struct retired retired;
    size_t n;
    _Atomic(struct chunk *) chunks[PAGE_CHUNKS];
};

struct directory {
    struct retired retired;
    size_t n;
    _Atomic(struct page *) pages[];
};

struct payload {
    struct payload_pool *pool;
    const struct schema *schema; /* Borrowed. */
    uint16_t *cells;             /* Of each column but vectors: its place. */
    uint32_t n_cells;
    uint64_t vectors[4]; /* Bits of the columns that are not kept. */
    _Atomic(struct directory *) directory;
    _Atomic uint64_t changed; /* Newest flush that has marked what it changes; under the mutex. */
    _Atomic uint32_t misses;  /* While the pool was full. */
};

struct payload_pool {
    struct mutex mutex;
    atomic_size_t bytes, bytes_max;
    struct chunk *hand; /* NULL: there is no chunk. */
    _Atomic uint64_t time;
    _Atomic uint64_t readers[2]; /* In the even and in the odd times. */
    struct retired *gone[2];     /* In them; under the mutex. */
};

/* ---- the pool ---- */

struct payload_pool *payload_pool_new(struct err *err)
{
    struct payload_pool *pool = mem_zalloc(MEM_PAYLOAD, sizeof(*pool));
    if (pool == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    mutex_init(&pool->mutex);
    return pool;
}

static void free_gone(struct payload_pool *pool, unsigned place)
{
    CHECK(place <= 1);
    while (pool->gone[place] != NULL) {
        struct retired *next = pool->gone[place]->next;
        mem_free(MEM_PAYLOAD, pool->gone[place]);
        pool->gone[place] = next;
    }
}

void payload_pool_free(struct payload_pool *pool)
{
    if (pool != NULL) {
        CHECK(pool->hand == NULL);
        CHECK(atomic_load(&pool->readers[0]) == 0 && atomic_load(&pool->readers[1]) == 0);
        CHECK(atomic_load(&pool->bytes) == 0);
        free_gone(pool, 0);
        free_gone(pool, 1);
        mutex_fini(&pool->mutex);
        mem_free(MEM_PAYLOAD, pool);
    }
}

unsigned payload_enter(struct payload_pool *pool)
{
    for (;;) {
        uint64_t time = atomic_load(&pool->time);
        unsigned place = (unsigned)(time & 1);
        atomic_fetch_add(&pool->readers[place], 1);
        if (atomic_load(&pool->time) == time) {
            return place;
        }
        atomic_fetch_sub(&pool->readers[place], 1);
    }
}

void payload_leave(struct payload_pool *pool, unsigned place)
{
    atomic_fetch_sub(&pool->readers[place], 1);
}

/* Nobody is left who entered before the current time began: what was gone by then is nobody's. */
static void turn_time(struct payload_pool *pool) REQUIRES(pool->mutex)
{
    uint64_t time = atomic_load(&pool->time);
    unsigned before = (unsigned)((time + 1) & 1);
    if (atomic_load(&pool->readers[before]) == 0) {
        free_gone(pool, before);
        atomic_store(&pool->time, time + 1);
    }
}

static void retire(struct payload_pool *pool, struct retired *thing) REQUIRES(pool->mutex)
{
    unsigned place = (unsigned)(atomic_load(&pool->time) & 1);
    thing->next = pool->gone[place];
    pool->gone[place] = thing;
    turn_time(pool);
}

/* ---- tables ---- */

static struct page *find_page(const struct payload *payload, uint64_t number)
{
    struct directory *d = atomic_load_explicit(&payload->directory, memory_order_acquire);
    uint64_t at = number / CHUNK_ROWS / PAGE_CHUNKS;
    return d == NULL || at >= d->n ? NULL
                                   : atomic_load_explicit(&d->pages[at], memory_order_acquire);
}

static _Atomic(struct chunk *) *slot_in(struct page *page, uint64_t number)
{
    return &page->chunks[number / CHUNK_ROWS % PAGE_CHUNKS];
}

static struct chunk *find_chunk(const struct payload *payload, uint64_t number)
{
    struct page *page = find_page(payload, number);
    return page == NULL ? NULL : atomic_load_explicit(slot_in(page, number), memory_order_acquire);
}

static bool grow_directory(struct payload_pool *pool, struct payload *payload, uint64_t at)
    REQUIRES(pool->mutex)
{
    struct directory *old = atomic_load(&payload->directory);
    size_t n = old == NULL ? 1 : old->n;
    while (n <= at) {
        n *= 2;
    }
    CHECK(n > at);
    if (old != NULL && n == old->n) {
        return true;
    }
    struct directory *grown = mem_zalloc(MEM_PAYLOAD, sizeof(*grown) + n * sizeof(grown->pages[0]));
    if (grown == NULL) {
        return false;
    }
    grown->n = n;
    for (size_t i = 0; old != NULL && i < old->n; i++) {
        atomic_init(&grown->pages[i], atomic_load(&old->pages[i]));
    }
    atomic_store_explicit(&payload->directory, grown, memory_order_release);
    if (old != NULL) {
        retire(pool, &old->retired);
    }
    return true;
}

/* The page of @number, made where it is missing. */
static struct page *want_page(struct payload_pool *pool, struct payload *payload, uint64_t number)
    REQUIRES(pool->mutex)
{
    uint64_t at = number / CHUNK_ROWS / PAGE_CHUNKS;
    struct page *page = find_page(payload, number);
    if (page == NULL && grow_directory(pool, payload, at)) {
        page = mem_zalloc(MEM_PAYLOAD, sizeof(*page));
        struct directory *d = atomic_load(&payload->directory);
        atomic_store_explicit(&d->pages[at], page, memory_order_release);
    }
    return page;
}

static void count_bytes(struct payload_pool *pool)
{
    metric_set(METRIC_payload_bytes, (int64_t)atomic_load(&pool->bytes));
}

/* Out of the tables and of the round. */
static void take_out(struct payload_pool *pool, struct chunk *chunk) REQUIRES(pool->mutex)
{
    CHECK(chunk->payload->pool == pool && chunk->bytes > 0);
    struct payload *payload = chunk->payload;
    struct page *page = find_page(payload, chunk->first);
    CHECK(page != NULL && page->n > 0 && atomic_load(slot_in(page, chunk->first)) == chunk);
    atomic_store_explicit(slot_in(page, chunk->first), NULL, memory_order_release);
    if (--page->n == 0) {
        struct directory *d = atomic_load(&payload->directory);
        atomic_store(&d->pages[chunk->first / CHUNK_ROWS / PAGE_CHUNKS], NULL);
        retire(pool, &page->retired);
    }
    pool->hand = chunk->next == chunk ? NULL : chunk->next;
    chunk->next->prev = chunk->prev;
    chunk->prev->next = chunk->next;
    CHECK(atomic_load(&pool->bytes) >= chunk->bytes);
    atomic_fetch_sub(&pool->bytes, chunk->bytes);
    retire(pool, &chunk->retired);
}

/* Until there is room for @bytes more: the first that was not used since the hand passed it. */
static void make_room(struct payload_pool *pool, size_t bytes) REQUIRES(pool->mutex)
{
    while (pool->hand != NULL &&
           atomic_load(&pool->bytes) + bytes > atomic_load(&pool->bytes_max)) {
        struct chunk *chunk = pool->hand;
        pool->hand = chunk->next;
        if (!atomic_exchange(&chunk->is_used, false)) {
            take_out(pool, chunk);
        }
    }
}

static bool put_in(struct payload_pool *pool, struct chunk *chunk) REQUIRES(pool->mutex)
{
    CHECK(chunk->bytes > 0 && chunk->first % CHUNK_ROWS == 0);
    struct chunk *old = find_chunk(chunk->payload, chunk->first);
    if (old != NULL && old->birth >= chunk->birth && atomic_load(&old->stale) == 0 &&
        old->known == chunk->known) {
        return false; /* Somebody else made the same. */
    }
    if (old != NULL) {
        take_out(pool, old);
    }
    make_room(pool, chunk->bytes);
    struct page *page = want_page(pool, chunk->payload, chunk->first);
    if (page == NULL || atomic_load(&pool->bytes) + chunk->bytes > atomic_load(&pool->bytes_max)) {
        return false;
    }
    CHECK(page->n < PAGE_CHUNKS);
    page->n++;
    atomic_fetch_add(&pool->bytes, chunk->bytes);
    struct chunk *hand = pool->hand;
    chunk->next = hand == NULL ? chunk : hand;
    chunk->prev = hand == NULL ? chunk : hand->prev;
    chunk->prev->next = chunk->next->prev = chunk;
    pool->hand = hand == NULL ? chunk : hand;
    atomic_store_explicit(slot_in(page, chunk->first), chunk, memory_order_release);
    return true;
}

void payload_pool_limit(struct payload_pool *pool, size_t bytes_max)
{
    mutex_lock(&pool->mutex);
    atomic_store(&pool->bytes_max, bytes_max);
    make_room(pool, 0);
    count_bytes(pool);
    mutex_unlock(&pool->mutex);
}

/* ---- a shard's ---- */

struct payload *payload_new(struct payload_pool *pool, const struct schema *schema, struct err *err)
{
    CHECK(pool != NULL && schema->n_columns > 0 && schema->n_columns <= COLUMNS_MAX);
    struct payload *payload = mem_zalloc(MEM_PAYLOAD, sizeof(*payload));
    uint16_t *cells = mem_zalloc(MEM_PAYLOAD, schema->n_columns * sizeof(*cells));
    if (payload == NULL || cells == NULL) {
        mem_free(MEM_PAYLOAD, payload);
        mem_free(MEM_PAYLOAD, cells);
        (void)err_no_memory(err);
        return NULL;
    }
    *payload = (struct payload){.pool = pool, .schema = schema, .cells = cells};
    for (uint32_t i = 0; i < schema->n_columns; i++) {
        if (schema->columns[i].type == TYPE_VECTOR) {
            payload->vectors[i / 64] |= UINT64_C(1) << (i % 64);
        } else {
            cells[i] = (uint16_t)payload->n_cells++;
        }
    }
    CHECK(payload->n_cells > 0); /* There is always the key. */
    return payload;
}

void payload_free(struct payload *payload)
{
    if (payload == NULL) {
        return;
    }
    struct payload_pool *pool = payload->pool;
    mutex_lock(&pool->mutex);
    struct directory *d = atomic_load(&payload->directory);
    for (size_t i = 0; d != NULL && i < d->n; i++) {
        struct page *page = atomic_load(&d->pages[i]);
        for (size_t j = 0, left = page == NULL ? 0 : page->n; left > 0; j++) {
            struct chunk *chunk = atomic_load(&page->chunks[j]);
            if (chunk != NULL) {
                take_out(pool, chunk); /* The last one takes the page with it. */
                left--;
            }
        }
        mem_free(MEM_PAYLOAD, atomic_load(&d->pages[i])); /* It never had one. */
    }
    count_bytes(pool);
    mutex_unlock(&pool->mutex);
    mem_free(MEM_PAYLOAD, d);
    mem_free(MEM_PAYLOAD, payload->cells);
    mem_free(MEM_PAYLOAD, payload);
}

/* ---- reading ---- */

const struct chunk *payload_find(struct payload *payload, uint64_t number, uint64_t flushed)
{
    struct chunk *chunk = find_chunk(payload, number);
    if (chunk == NULL || chunk->birth > flushed) {
        return NULL;
    }
    CHECK_HOT(chunk->first == number / CHUNK_ROWS * CHUNK_ROWS);
    if (!atomic_load_explicit(&chunk->is_used, memory_order_relaxed)) {
        atomic_store_explicit(&chunk->is_used, true, memory_order_relaxed);
    }
    return chunk;
}

uint64_t chunk_known(const struct chunk *chunk)
{
    return chunk->known & ~atomic_load_explicit(&chunk->stale, memory_order_acquire);
}

uint64_t chunk_present(const struct chunk *chunk)
{
    return chunk->present;
}

bool chunk_is_worn(const struct chunk *chunk)
{
    _Atomic uint32_t *misses = (_Atomic uint32_t *)(uintptr_t)&chunk->stale_misses;
    if (atomic_fetch_add(misses, 1) + 1 < STALE_MISSES_MAX) {
        return false;
    }
    atomic_store(misses, 0);
    return true;
}

static const uint64_t *cells_of(const struct chunk *chunk, uint32_t cell)
{
    return chunk->words + chunk->n_cells + (size_t)cell * CHUNK_ROWS;
}

static const uint8_t *texts_of(const struct chunk *chunk)
{
    return (const uint8_t *)cells_of(chunk, chunk->n_cells);
}

struct shard_cells chunk_cells(const struct payload *payload, const struct chunk *chunk,
                               uint32_t column)
{
    CHECK_HOT(column < payload->schema->n_columns &&
              payload->schema->columns[column].type != TYPE_VECTOR);
    uint32_t cell = payload->cells[column];
    CHECK_HOT(cell < chunk->n_cells);
    return (struct shard_cells){.type = payload->schema->columns[column].type,
                                .nulls = chunk->words[cell],
                                .cells = cells_of(chunk, cell),
                                .bytes = texts_of(chunk)};
}

void payload_prefetch(const struct payload *payload, uint64_t number, const uint64_t columns[4])
{
    const struct chunk *chunk = find_chunk(payload, number);
    if (chunk == NULL) {
        return;
    }
    __builtin_prefetch(chunk);
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = columns[word]; left != 0; left &= left - 1) {
            uint32_t cell = payload->cells[word * 64 + (uint32_t)__builtin_ctzll(left)];
            const uint64_t *cells = chunk->words + payload->n_cells + (size_t)cell * CHUNK_ROWS;
            __builtin_prefetch(&chunk->words[cell]);
            for (size_t i = 0; i < CHUNK_ROWS; i += LINE_CELLS) {
                __builtin_prefetch(&cells[i]);
            }
        }
    }
}

bool shard_cell_is_elsewhere(const struct shard_cells *cells, unsigned row)
{
    return cells->cells[row] == SHARD_CELL_ELSEWHERE &&
           (cells->type == TYPE_TEXT || cells->type == TYPE_JSON);
}

struct value shard_cell_value(const struct shard_cells *cells, unsigned row)
{
    CHECK_HOT(row < CHUNK_ROWS && !shard_cell_is_elsewhere(cells, row));
    uint64_t cell = cells->cells[row];
    struct value v = {.type = cells->type};
    switch (v.type) {
    case TYPE_BOOL:
        v.boolean = cell != 0;
        break;
    case TYPE_INT:
    case TYPE_TIMESTAMP:
        v.integer = (int64_t)cell;
        break;
    case TYPE_FLOAT:
        memcpy(&v.number, &cell, sizeof(cell));
        break;
    case TYPE_TEXT:
    case TYPE_JSON:
        v.text.data = (const char *)cells->bytes + (cell >> 32);
        v.text.bytes = (uint32_t)cell;
        break;
    case TYPE_UUID:
        memcpy(v.uuid, cells->bytes + (cell >> 32), UUID_BYTES);
        break;
    case TYPE_NULL:
    case TYPE_VECTOR:
    case TYPE_COUNT:
        CHECK(false);
    }
    return v;
}

bool chunk_decode(const struct payload *payload, const struct chunk *chunk, uint64_t number,
                  const uint64_t columns[4], struct value *values)
{
    CHECK_HOT(chunk->payload == payload && number - chunk->first < CHUNK_ROWS);
    unsigned at = (unsigned)(number % CHUNK_ROWS);
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = columns[word]; left != 0; left &= left - 1) {
            uint32_t column = word * 64 + (uint32_t)__builtin_ctzll(left);
            struct shard_cells cells = chunk_cells(payload, chunk, column);
            if ((cells.nulls >> at & 1) != 0) {
                values[column] = value_null();
            } else if (shard_cell_is_elsewhere(&cells, at)) {
                return false;
            } else {
                values[column] = shard_cell_value(&cells, at);
            }
        }
    }
    return true;
}

bool payload_keeps(const struct payload *payload, const uint64_t columns[4])
{
    const uint64_t *v = payload->vectors;
    return ((columns[0] & v[0]) | (columns[1] & v[1]) | (columns[2] & v[2]) |
            (columns[3] & v[3])) == 0;
}

/* ---- making chunks ---- */

bool payload_wants(struct payload *payload, enum payload_wish wish)
{
    struct payload_pool *pool = payload->pool;
    size_t bytes_max = atomic_load_explicit(&pool->bytes_max, memory_order_relaxed);
    size_t bytes = atomic_load_explicit(&pool->bytes, memory_order_relaxed);
    size_t chunk_bytes = (size_t)payload->n_cells * CHUNK_ROWS * sizeof(uint64_t);
    if (bytes + chunk_bytes <= bytes_max) {
        return true;
    }
    return bytes_max > chunk_bytes && wish == PAYLOAD_FOR_A_ROW &&
           atomic_fetch_add_explicit(&payload->misses, 1, memory_order_relaxed) % FULL_TURNS == 0;
}

static uint64_t text_cell(struct buf *texts, struct slice text)
{
    if (text.bytes > TEXT_KEPT_MAX) {
        return SHARD_CELL_ELSEWHERE;
    }
    uint64_t cell = (uint64_t)texts->bytes << 32 | text.bytes;
    buf_bytes(texts, text.data, text.bytes);
    return cell;
}

static enum errcode fill_cell(const struct column *column, struct slice content, struct buf *texts,
                              uint64_t *cell, struct err *err)
{
    struct value v;
    enum errcode code = ERR_OK;
    switch (column->type) {
    case TYPE_TEXT:
    case TYPE_JSON:
    case TYPE_UUID:
        *cell = text_cell(texts, content);
        return ERR_OK;
    case TYPE_FLOAT:
        *cell = le_get_u64(content.data);
        return ERR_OK;
    default:
        code = row_decode_value(column, content, &v, NULL, err);
        *cell = column->type == TYPE_BOOL ? (uint64_t)v.boolean : (uint64_t)v.integer;
        return code;
    }
}

static enum errcode fill_row(struct payload *payload, struct chunk *chunk, uint64_t number,
                             struct slice stored, struct buf *texts, struct err *err)
{
    const struct schema *schema = payload->schema;
    struct slice body, columns[COLUMNS_MAX];
    unsigned at = (unsigned)(number % CHUNK_ROWS);
    enum errcode code = row_check(number, stored, &body, err);
    if (code == ERR_OK) {
        code = row_split(schema, body, columns, err);
    }
    for (uint32_t i = 0; i < schema->n_columns && code == ERR_OK; i++) {
        uint32_t cell = payload->cells[i];
        if (schema->columns[i].type == TYPE_VECTOR) {
            continue;
        }
        if (columns[i].data == NULL) {
            chunk->words[cell] |= UINT64_C(1) << at;
            continue;
        }
        uint64_t *content = chunk->words + chunk->n_cells + (size_t)cell * CHUNK_ROWS + at;
        code = fill_cell(&schema->columns[i], columns[i], texts, content, err);
    }
    chunk->present |= UINT64_C(1) << at;
    return code;
}

static enum errcode fill_rows(struct payload *payload, struct chunk *chunk, struct store_read *read,
                              struct buf *texts, struct err *err)
{
    uint64_t end = chunk->first + CHUNK_ROWS;
    uint64_t next_row = store_read_meta(read)->next_row;
    end = end < next_row ? end : next_row;
    for (uint64_t number = chunk->first; number < end; number++) {
        struct slice stored;
        enum errcode code = store_next(read, TABLE_ROWS, &number, &stored, err);
        if (code == ERR_OK && (stored.data == NULL || number >= end)) {
            break;
        }
        if (code == ERR_OK) {
            code = fill_row(payload, chunk, number, stored, texts, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    chunk->birth = store_read_meta(read)->applied;
    chunk->known =
        end - chunk->first == CHUNK_ROWS ? UINT64_MAX : (UINT64_C(1) << (end - chunk->first)) - 1;
    return ERR_OK;
}

static bool offer(struct payload *payload, struct chunk *chunk)
{
    struct payload_pool *pool = payload->pool;
    mutex_lock(&pool->mutex);
    bool is_kept = chunk->birth >= atomic_load(&payload->changed) && put_in(pool, chunk);
    count_bytes(pool);
    mutex_unlock(&pool->mutex);
    return is_kept;
}

/* The texts go behind the cells; false where memory ran out. */
static bool append_texts(struct chunk **chunk, size_t bytes, const struct buf *texts)
{
    if (texts->bytes == 0 || texts->failed) {
        return !texts->failed;
    }
    struct chunk *larger = mem_realloc(MEM_PAYLOAD, *chunk, bytes + texts->bytes);
    if (larger == NULL) {
        return false;
    }
    memcpy((uint8_t *)larger + bytes, texts->data, texts->bytes);
    *chunk = larger;
    return true;
}

void payload_fill(struct payload *payload, struct store_read *read, uint64_t number,
                  uint64_t *rows_read)
{
    size_t words = payload->n_cells * (size_t)(1 + CHUNK_ROWS);
    size_t bytes = sizeof(struct chunk) + words * sizeof(uint64_t);
    struct chunk *chunk = mem_zalloc(MEM_PAYLOAD, bytes);
    struct buf texts;
    struct err err;
    if (chunk == NULL) {
        return;
    }
    buf_init(&texts, MEM_PAYLOAD, UINT32_MAX);
    chunk->payload = payload;
    chunk->n_cells = payload->n_cells;
    chunk->first = number / CHUNK_ROWS * CHUNK_ROWS;
    atomic_init(&chunk->is_used, true);
    bool is_whole = fill_rows(payload, chunk, read, &texts, &err) == ERR_OK &&
                    append_texts(&chunk, bytes, &texts);
    *rows_read += CHUNK_ROWS;
    chunk->bytes = bytes + texts.bytes;
    buf_fini(&texts);
    if (!is_whole || !offer(payload, chunk)) {
        mem_free(MEM_PAYLOAD, chunk);
    }
}

/* ---- changes ---- */

void payload_change(struct payload *payload, uint64_t flushed,
                    const struct row_version *const *versions, size_t n)
{
    struct payload_pool *pool = payload->pool;
    mutex_lock(&pool->mutex);
    atomic_store(&payload->changed, flushed);
    for (size_t i = 0; i < n; i++) {
        struct chunk *chunk = find_chunk(payload, versions[i]->number);
        if (chunk != NULL) {
            atomic_fetch_or(&chunk->stale, UINT64_C(1) << versions[i]->number % CHUNK_ROWS);
        }
    }
    mutex_unlock(&pool->mutex);
}
