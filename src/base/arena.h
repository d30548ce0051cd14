/* Arenas: memory that is freed all at once.  A statement's data lives in one.
 *
 * An arena has a budget; passing it, or the machine's memory, makes arena_alloc return NULL, and
 * arena_failed says so afterwards, so a builder may check once at its end.  Not thread-safe. */
#ifndef VECTRON_BASE_ARENA_H
#define VECTRON_BASE_ARENA_H

#include "base/mem.h"

struct arena;

struct arena *arena_new(enum mem_category category, size_t budget_bytes) WARN_UNUSED;
void arena_free(struct arena *arena);  /* NULL is allowed. */
void arena_reset(struct arena *arena); /* Frees all but the first block. */

/* Owned by the arena, until reset.  Aligned for any type.  Zero bytes give a unique pointer. */
void *arena_alloc(struct arena *arena, size_t bytes) WARN_UNUSED;
void *arena_zalloc(struct arena *arena, size_t bytes) WARN_UNUSED;
/* n members of size bytes each; NULL also where the product overflows. */
void *arena_array(struct arena *arena, size_t n, size_t bytes) WARN_UNUSED;
void *arena_copy(struct arena *arena, const void *from, size_t bytes) WARN_UNUSED;
char *arena_strndup(struct arena *arena, const char *text, size_t bytes) WARN_UNUSED;
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3) WARN_UNUSED;

bool arena_failed(const struct arena *arena);
size_t arena_bytes(const struct arena *arena);

#endif
