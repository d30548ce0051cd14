/* Memory by category.
 *
 * Three builds of the same calls:
 *   HAVE_JEMALLOC  (vectrond): an arena of jemalloc a category; its statistics are the figures.
 *   neither        (sanitizers): malloc, and a counter a category of what it handed out.
 *   MEM_PLAIN      (libvclient): malloc alone; a library keeps no state of its own.
 * Regions are mapped from the kernel in all three. */
#define _GNU_SOURCE /* mremap, madvise, malloc_usable_size */
#include "base/mem.h"

#include "base/fault.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#include <pthread.h>
#endif

enum {
    HUGE_PAGE_BYTES = 2 << 20
};

static const struct {
    const char *name, *text;
} rows[MEM_COUNT] = {
#define MEMORY(name, text) {#name, text},
#include "base/memory.def"
#undef MEMORY
};

/* ---- the allocator below ---- */

#if defined(HAVE_JEMALLOC)

static unsigned arena_of[MEM_COUNT];
static pthread_once_t arenas_once = PTHREAD_ONCE_INIT;

static void make_arenas(void)
{
    for (int category = 0; category < MEM_COUNT; category++) {
        size_t bytes = sizeof(arena_of[category]);
        /* Arena 0 serves everyone where jemalloc cannot make more; the figures then overlap. */
        if (mallctl("arenas.create", &arena_of[category], &bytes, NULL, 0) != 0) {
            arena_of[category] = 0;
        }
    }
}

static int flags_of(enum mem_category category)
{
    pthread_once(&arenas_once, make_arenas);
    return (int)(MALLOCX_ARENA(arena_of[category]) | MALLOCX_TCACHE_NONE);
}

static void *raw_alloc(enum mem_category category, size_t bytes)
{
    return mallocx(bytes, flags_of(category));
}

static void *raw_realloc(enum mem_category category, void *old, size_t bytes)
{
    return old == NULL ? raw_alloc(category, bytes) : rallocx(old, bytes, flags_of(category));
}

static void raw_free(enum mem_category category, void *memory)
{
    (void)category;
    dallocx(memory, MALLOCX_TCACHE_NONE);
}

static size_t read_arena_figure(unsigned arena, const char *kind)
{
    char name[64];
    snprintf(name, sizeof(name), "stats.arenas.%u.%s.allocated", arena, kind);
    size_t figure = 0, bytes = sizeof(figure);
    return mallctl(name, &figure, &bytes, NULL, 0) == 0 ? figure : 0;
}

static size_t raw_bytes(enum mem_category category)
{
    uint64_t epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    pthread_once(&arenas_once, make_arenas);
    return read_arena_figure(arena_of[category], "small") +
           read_arena_figure(arena_of[category], "large");
}

#elif defined(MEM_PLAIN)

static void *raw_alloc(enum mem_category category, size_t bytes)
{
    (void)category;
    return malloc(bytes);
}

static void *raw_realloc(enum mem_category category, void *old, size_t bytes)
{
    (void)category;
    return realloc(old, bytes);
}

static void raw_free(enum mem_category category, void *memory)
{
    (void)category;
    free(memory);
}

static size_t raw_bytes(enum mem_category category)
{
    (void)category;
    return 0;
}

#else

static _Atomic size_t bytes_of[MEM_COUNT];

static void *counted(enum mem_category category, void *memory)
{
    if (memory != NULL) {
        atomic_fetch_add_explicit(&bytes_of[category], malloc_usable_size(memory),
                                  memory_order_relaxed);
    }
    return memory;
}

static void *raw_alloc(enum mem_category category, size_t bytes)
{
    return counted(category, malloc(bytes));
}

static void *raw_realloc(enum mem_category category, void *old, size_t bytes)
{
    size_t old_bytes = old == NULL ? 0 : malloc_usable_size(old);
    void *memory = realloc(old, bytes);
    if (memory != NULL) {
        atomic_fetch_sub_explicit(&bytes_of[category], old_bytes, memory_order_relaxed);
    }
    return counted(category, memory);
}

static void raw_free(enum mem_category category, void *memory)
{
    atomic_fetch_sub_explicit(&bytes_of[category], malloc_usable_size(memory),
                              memory_order_relaxed);
    free(memory);
}

static size_t raw_bytes(enum mem_category category)
{
    return atomic_load_explicit(&bytes_of[category], memory_order_relaxed);
}

#endif

/* ---- allocations ---- */

void *mem_alloc(enum mem_category category, size_t bytes)
{
    CHECK(category < MEM_COUNT);
    if (fault_hit(FAULT_MALLOC)) {
        return NULL;
    }
    return raw_alloc(category, bytes == 0 ? 1 : bytes);
}

void *mem_zalloc(enum mem_category category, size_t bytes)
{
    void *memory = mem_alloc(category, bytes);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

void *mem_realloc(enum mem_category category, void *old, size_t bytes)
{
    CHECK(category < MEM_COUNT);
    if (fault_hit(FAULT_MALLOC)) {
        return NULL;
    }
    return raw_realloc(category, old, bytes == 0 ? 1 : bytes);
}

char *mem_strndup(enum mem_category category, const char *text, size_t bytes)
{
    char *copy = mem_alloc(category, bytes + 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

void mem_free(enum mem_category category, void *memory)
{
    if (memory != NULL) {
        raw_free(category, memory);
    }
}

/* ---- regions ---- */

#ifndef MEM_PLAIN
static _Atomic size_t region_bytes[MEM_COUNT];

static size_t round_to_huge(size_t bytes)
{
    return (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
}

bool mem_region_reserve(struct mem_region *region, enum mem_category category, size_t bytes_max)
{
    *region = (struct mem_region){.category = category, .bytes_max = round_to_huge(bytes_max)};
    if (fault_hit(FAULT_MALLOC)) {
        return false;
    }
    /* One huge page more than asked for, so that the base can be aligned to one. */
    size_t mapped_bytes = region->bytes_max + HUGE_PAGE_BYTES;
    uint8_t *mapped = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
        return false;
    }
    size_t before = round_to_huge((uintptr_t)mapped) - (uintptr_t)mapped;
    if (before > 0) {
        munmap(mapped, before);
    }
    munmap(mapped + before + region->bytes_max, HUGE_PAGE_BYTES - before);
    region->base = mapped + before;
    madvise(region->base, region->bytes_max, MADV_HUGEPAGE);
    return true;
}

bool mem_region_use(struct mem_region *region, size_t bytes_used)
{
    if (bytes_used > region->bytes_max ||
        (bytes_used > region->bytes_used && fault_hit(FAULT_MALLOC))) {
        return false;
    }
    atomic_fetch_add_explicit(&region_bytes[region->category], bytes_used - region->bytes_used,
                              memory_order_relaxed);
    region->bytes_used = bytes_used;
    return true;
}

bool mem_region_grow(struct mem_region *region, size_t bytes_max)
{
    struct mem_region larger;
    if (!mem_region_reserve(&larger, region->category, bytes_max)) {
        return false;
    }
    /* The old pages move to the front of the new address space: page tables, no copying. */
    if (mremap(region->base, region->bytes_max, region->bytes_max, MREMAP_MAYMOVE | MREMAP_FIXED,
               larger.base) == MAP_FAILED) {
        munmap(larger.base, larger.bytes_max);
        return false;
    }
    larger.bytes_used = region->bytes_used;
    *region = larger;
    return true;
}

void mem_region_release(struct mem_region *region)
{
    if (region->base != NULL) {
        atomic_fetch_sub_explicit(&region_bytes[region->category], region->bytes_used,
                                  memory_order_relaxed);
        munmap(region->base, region->bytes_max);
    }
    *region = (struct mem_region){.category = region->category};
}
#endif

/* ---- figures ---- */

const char *mem_category_name(enum mem_category category)
{
    return rows[category].name;
}

const char *mem_category_text(enum mem_category category)
{
    return rows[category].text;
}

size_t mem_category_bytes(enum mem_category category)
{
    size_t bytes = raw_bytes(category);
#ifndef MEM_PLAIN
    bytes += atomic_load_explicit(&region_bytes[category], memory_order_relaxed);
#endif
    return bytes;
}

size_t mem_resident_bytes(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL) {
        return 0;
    }
    char line[128]; /* "all resident ...", in pages. */
    const char *resident = fgets(line, sizeof(line), statm) == NULL ? NULL : strchr(line, ' ');
    fclose(statm);
    return resident == NULL ? 0 : strtoul(resident, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}
