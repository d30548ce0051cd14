/* Memory by category.
 *
 * The heap is jemalloc's in vectrond, and malloc's in sanitizer builds and in libvclient; with it
 * go the counters.  Each of the first THREADS_MAX threads has a row of them for itself, so that
 * counting takes no lock and no atomic addition; threads that come later share one row, with
 * atomic additions.  A thread's own row may well go below zero: what it frees others may have
 * allocated.  A figure is the sum over the rows: exact where nobody allocates meanwhile, and else
 * off by no more than what is allocated and freed while the rows are read.
 *
 * libvclient (MEM_PLAIN) counts nothing: a library keeps no state of its own.  Regions are mapped
 * from the kernel, but for small ones. */
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
#endif

enum {
    HUGE_PAGE_BYTES = 2 << 20,
    HUGE_WORTH_BYTES = HUGE_PAGE_BYTES / 4, /* Less of a huge page is not worth all of it. */
    THREADS_MAX = 127,
    CACHE_LINE_BYTES = 64
};

static const struct {
    const char *name, *text;
} rows[MEM_COUNT] = {
#define MEMORY(id, name, text) {name, text},
#include "base/memory.def"
#undef MEMORY
};

/* ---- the heap ---- */

#ifdef HAVE_JEMALLOC

static void *heap_alloc(size_t bytes)
{
    return mallocx(bytes, 0);
}

static void *heap_realloc(void *old, size_t bytes)
{
    return rallocx(old, bytes, 0);
}

static size_t heap_bytes(void *memory)
{
    return sallocx(memory, 0);
}

static void heap_free(void *memory, size_t bytes)
{
    sdallocx(memory, bytes, 0);
}

/* Without a thread of its own the heap looks for freed pages when somebody allocates: what a load
 * or a DELETE had, an idle process would keep for ever. */
bool mem_give_back_idle(void)
{
    bool is_wanted = true;
    size_t n_threads = 1;
    return mallctl("max_background_threads", NULL, NULL, &n_threads, sizeof(n_threads)) == 0 &&
           mallctl("background_thread", NULL, NULL, &is_wanted, sizeof(is_wanted)) == 0;
}

#else

static void *heap_alloc(size_t bytes)
{
    return malloc(bytes);
}

static void *heap_realloc(void *old, size_t bytes)
{
    return realloc(old, bytes);
}

static size_t heap_bytes(void *memory)
{
#ifdef MEM_PLAIN
    (void)memory;
    return 0; /* Nobody counts it. */
#else
    return malloc_usable_size(memory);
#endif
}

static void heap_free(void *memory, size_t bytes)
{
    (void)bytes;
    free(memory);
}

bool mem_give_back_idle(void)
{
    return true; /* As far as malloc does. */
}

#endif

/* ---- the counters ---- */

#ifdef MEM_PLAIN

static void count(enum mem_category category, size_t bytes)
{
    (void)category, (void)bytes;
}

static size_t counted_bytes(enum mem_category category)
{
    (void)category;
    return 0;
}

#else

struct counters {
    _Alignas(CACHE_LINE_BYTES) _Atomic size_t bytes[MEM_COUNT];
};

static struct counters counters[THREADS_MAX + 1]; /* The last is shared. */
static atomic_uint n_threads;
static _Thread_local struct counters *own;

static struct counters *find_own(void)
{
    unsigned n = atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed);
    return &counters[n < THREADS_MAX ? n : THREADS_MAX];
}

/* Adds @bytes, which may be the negative of what is taken away. */
static void count(enum mem_category category, size_t bytes)
{
    if (own == NULL) {
        own = find_own();
    }
    _Atomic size_t *counter = &own->bytes[category];
    if (own == &counters[THREADS_MAX]) {
        atomic_fetch_add_explicit(counter, bytes, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

static size_t counted_bytes(enum mem_category category)
{
    size_t bytes = 0;
    for (size_t i = 0; i < COUNT_OF(counters); i++) {
        bytes += atomic_load_explicit(&counters[i].bytes[category], memory_order_relaxed);
    }
    return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

#endif

/* ---- allocations ---- */

void *mem_alloc(enum mem_category category, size_t bytes)
{
    CHECK(category < MEM_COUNT);
    if (fault_hit(FAULT_MALLOC)) {
        return NULL;
    }
    void *memory = heap_alloc(bytes == 0 ? 1 : bytes);
    if (memory != NULL) {
        count(category, heap_bytes(memory));
    }
    return memory;
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
    if (old == NULL) {
        return mem_alloc(category, bytes);
    }
    if (fault_hit(FAULT_MALLOC)) {
        return NULL;
    }
    size_t old_bytes = heap_bytes(old);
    void *memory = heap_realloc(old, bytes == 0 ? 1 : bytes);
    if (memory != NULL) {
        count(category, heap_bytes(memory) - old_bytes);
    }
    return memory;
}

char *mem_strndup(enum mem_category category, const char *text, size_t bytes)
{
    CHECK(text != NULL);
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
        size_t bytes = heap_bytes(memory);
        count(category, -bytes);
        heap_free(memory, bytes);
    }
}

/* ---- regions ---- */

#ifndef MEM_PLAIN
static _Atomic size_t region_bytes[MEM_COUNT];

static size_t round_to_huge(size_t bytes)
{
    return (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
}

/* Small regions stand in the heap: a process has 65,530 mappings, and many collections. */
static bool is_mapped(const struct mem_region *region)
{
    return region->bytes_max >= HUGE_PAGE_BYTES;
}

static bool map_region(struct mem_region *region)
{
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
    return true;
}

bool mem_region_reserve(struct mem_region *region, enum mem_category category, size_t bytes_max)
{
    CHECK(category < MEM_COUNT);
    CHECK(category < MEM_COUNT);
    bool is_small = bytes_max < HUGE_PAGE_BYTES;
    *region = (struct mem_region){
        .category = category,
        .bytes_max = is_small ? bytes_max : round_to_huge(bytes_max),
    };
    if (is_small) {
        region->base = mem_zalloc(category, bytes_max);
        return region->base != NULL;
    }
    return !fault_hit(FAULT_MALLOC) && map_region(region);
}

/* Before the bytes are written: the kernel leaves pages that are there already small for long. */
static void want_huge_pages(struct mem_region *region, size_t bytes_used)
{
    if (is_mapped(region) && bytes_used >= HUGE_WORTH_BYTES) {
        madvise(region->base, region->bytes_max, MADV_HUGEPAGE);
    }
}

bool mem_region_use(struct mem_region *region, size_t bytes_used)
{
    CHECK(region->base != NULL || bytes_used == 0);
    if (bytes_used > region->bytes_max ||
        (bytes_used > region->bytes_used && fault_hit(FAULT_MALLOC))) {
        return false;
    }
    if (is_mapped(region)) {
        atomic_fetch_add_explicit(&region_bytes[region->category], bytes_used - region->bytes_used,
                                  memory_order_relaxed);
    }
    if (region->bytes_used < HUGE_WORTH_BYTES) {
        want_huge_pages(region, bytes_used);
    }
    size_t kept = round_to_huge(bytes_used), had = round_to_huge(region->bytes_used);
    if (is_mapped(region) && kept < had) {
        madvise((uint8_t *)region->base + kept, had - kept, MADV_DONTNEED);
    }
    region->bytes_used = bytes_used;
    return true;
}

static void release_address_space(struct mem_region *region)
{
    if (is_mapped(region)) {
        munmap(region->base, region->bytes_max);
    } else {
        mem_free(region->category, region->base);
    }
}

bool mem_region_grow(struct mem_region *region, size_t bytes_max)
{
    CHECK(region->base != NULL && bytes_max >= region->bytes_used);
    struct mem_region larger;
    if (!mem_region_reserve(&larger, region->category, bytes_max)) {
        return false;
    }
    if (!is_mapped(region)) {
        want_huge_pages(&larger, region->bytes_used);
        memcpy(larger.base, region->base, region->bytes_max);
        mem_free(region->category, region->base);
        if (is_mapped(&larger)) {
            atomic_fetch_add_explicit(&region_bytes[region->category], region->bytes_used,
                                      memory_order_relaxed);
        }
    } else if (mremap(region->base, region->bytes_max, larger.bytes_max,
                      MREMAP_MAYMOVE | MREMAP_FIXED, larger.base) == MAP_FAILED) {
        /* Page tables are moved, nothing is copied, and what it was and what it becomes is one
         * mapping: kernels before 6.17 move no more than one. */
        release_address_space(&larger);
        return false;
    }
    larger.bytes_used = region->bytes_used;
    *region = larger;
    return true;
}

void mem_region_release(struct mem_region *region)
{
    if (region->base != NULL) {
        if (is_mapped(region)) {
            atomic_fetch_sub_explicit(&region_bytes[region->category], region->bytes_used,
                                      memory_order_relaxed);
        }
        release_address_space(region);
    }
    *region = (struct mem_region){.category = region->category};
}
#endif

/* ---- figures ---- */

const char *mem_category_name(enum mem_category category)
{
    CHECK(category < MEM_COUNT);
    return rows[category].name;
}

const char *mem_category_text(enum mem_category category)
{
    CHECK(category < MEM_COUNT);
    return rows[category].text;
}

size_t mem_category_bytes(enum mem_category category)
{
    CHECK(category < MEM_COUNT);
    CHECK(category < MEM_COUNT);
    size_t bytes = counted_bytes(category);
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
