/* Arenas: a list of blocks, each twice the last up to a bound; the newest is filled from its front.
 *
 * A request that is larger than the next block gets a block of its own, behind the newest one, so
 * that the room left in the newest is not lost. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCK_BYTES_FIRST = 4096,
    BLOCK_BYTES_LAST = 1 << 20,
    ALIGNMENT = 16,
};

struct block {
    struct block *older;
    size_t bytes; /* Usable, after this header. */
    size_t used;
    size_t unused_for_alignment;
};
_Static_assert(sizeof(struct block) % ALIGNMENT == 0, "a block's content is aligned");

struct arena {
    struct block *newest;
    struct block *first;
    size_t bytes; /* Of all blocks. */
    size_t budget_bytes;
    size_t block_bytes; /* Of the next block. */
    enum mem_category category;
    bool failed;
};

struct arena *arena_new(enum mem_category category, size_t budget_bytes)
{
    CHECK(category < MEM_COUNT);
    struct arena *arena = mem_zalloc(category, sizeof(*arena));
    if (arena != NULL) {
        arena->category = category;
        arena->budget_bytes = budget_bytes;
        arena->block_bytes = BLOCK_BYTES_FIRST;
    }
    return arena;
}

static void free_blocks(struct arena *arena, struct block *from, const struct block *until)
{
    while (from != until) {
        struct block *older = from->older;
        CHECK(from->used <= from->bytes && arena->bytes >= from->bytes);
        arena->bytes -= from->bytes;
        mem_free(arena->category, from);
        from = older;
    }
}

void arena_free(struct arena *arena)
{
    if (arena != NULL) {
        free_blocks(arena, arena->newest, NULL);
        CHECK(arena->bytes == 0);
        mem_free(arena->category, arena);
    }
}

void arena_reset(struct arena *arena)
{
    arena->failed = false;
    arena->block_bytes = BLOCK_BYTES_FIRST;
    if (arena->newest == arena->first && arena->first != NULL && arena->first->older == NULL) {
        arena->first->used = 0;
        return;
    }
    if (arena->first == NULL) {
        free_blocks(arena, arena->newest, NULL);
        arena->newest = NULL;
        return;
    }
    /* Blocks of large requests may lie behind the first one: it is taken out of the list. */
    struct block **link = &arena->newest;
    while (*link != arena->first) {
        link = &(*link)->older;
    }
    *link = arena->first->older;
    free_blocks(arena, arena->newest, NULL);
    CHECK(arena->bytes == arena->first->bytes);
    arena->first->older = NULL;
    arena->first->used = 0;
    arena->newest = arena->first;
}

static struct block *new_block(struct arena *arena, size_t bytes)
{
    CHECK(bytes > 0);
    if (bytes > arena->budget_bytes || arena->bytes > arena->budget_bytes - bytes) {
        return NULL;
    }
    struct block *block = mem_alloc(arena->category, sizeof(*block) + bytes);
    if (block != NULL) {
        *block = (struct block){.bytes = bytes};
        arena->bytes += bytes;
    }
    return block;
}

static bool add_newest_block(struct arena *arena)
{
    struct block *block = new_block(arena, arena->block_bytes);
    if (block == NULL) {
        return false;
    }
    if (arena->newest == NULL) {
        arena->first = block;
    }
    if (arena->block_bytes < BLOCK_BYTES_LAST) {
        arena->block_bytes *= 2;
    }
    block->older = arena->newest;
    arena->newest = block;
    return true;
}

static void *alloc_in_new_block(struct arena *arena, size_t bytes)
{
    bool is_large = bytes > arena->block_bytes / 2;
    if ((arena->newest == NULL || !is_large) && !add_newest_block(arena)) {
        return NULL;
    }
    struct block *block = arena->newest;
    if (is_large) {
        block = new_block(arena, bytes);
        if (block == NULL) {
            return NULL;
        }
        block->older = arena->newest->older;
        arena->newest->older = block;
    }
    CHECK(bytes <= block->bytes && block->used == 0);
    block->used = bytes;
    return block + 1;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    CHECK_HOT(arena != NULL &&
              (arena->newest == NULL || arena->newest->used <= arena->newest->bytes));
    if (bytes > SIZE_MAX - ALIGNMENT - sizeof(struct block)) {
        arena->failed = true;
        return NULL;
    }
    bytes = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct block *newest = arena->newest;
    if (newest != NULL && bytes <= newest->bytes - newest->used) {
        void *memory = (uint8_t *)(newest + 1) + newest->used;
        newest->used += bytes;
        return memory;
    }
    void *memory = alloc_in_new_block(arena, bytes);
    arena->failed = arena->failed || memory == NULL;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t bytes)
{
    void *memory = arena_alloc(arena, bytes);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

void *arena_array(struct arena *arena, size_t n, size_t bytes)
{
    if (bytes != 0 && n > SIZE_MAX / bytes) {
        arena->failed = true;
        return NULL;
    }
    return arena_alloc(arena, n * bytes);
}

void *arena_copy(struct arena *arena, const void *from, size_t bytes)
{
    CHECK_HOT(from != NULL || bytes == 0);
    void *memory = arena_alloc(arena, bytes);
    if (memory != NULL && bytes > 0) {
        memcpy(memory, from, bytes);
    }
    return memory;
}

char *arena_strndup(struct arena *arena, const char *text, size_t bytes)
{
    CHECK_HOT(text != NULL);
    char *copy = arena_alloc(arena, bytes + 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(n >= 0);
    char *text = arena_alloc(arena, (size_t)n + 1);
    if (text != NULL) {
        va_start(args, format);
        vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    return text;
}

bool arena_failed(const struct arena *arena)
{
    return arena->failed;
}

size_t arena_bytes(const struct arena *arena)
{
    return arena->bytes;
}
