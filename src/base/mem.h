/* Memory by category: each allocation belongs to one row of memory.def, and each row has a figure.
 *
 * A figure counts what may be used of what was handed out and not yet given back (what was asked
 * for, rounded up by the allocator), in every build but libvclient's, where it is 0.  Every
 * allocation may fail and passes a fault point, so that tests can fail the n-th. */
#ifndef VECTRON_BASE_MEM_H
#define VECTRON_BASE_MEM_H

#include "base/check.h"

enum mem_category {
#define MEMORY(id, name, text) MEM_##id,
#include "base/memory.def"
#undef MEMORY
    MEM_COUNT
};

/* Each returns NULL where memory ran out.  The caller owns the result and gives it back with
 * mem_free and the same category.  mem_alloc does not clear, mem_zalloc does. */
void *mem_alloc(enum mem_category category, size_t bytes) WARN_UNUSED;
void *mem_zalloc(enum mem_category category, size_t bytes) WARN_UNUSED;
void *mem_realloc(enum mem_category category, void *old, size_t bytes) WARN_UNUSED;
char *mem_strndup(enum mem_category category, const char *text, size_t bytes) WARN_UNUSED;
void mem_free(enum mem_category category, void *memory); /* NULL is allowed. */

/* A region is zeroed address space of bytes_max whose first bytes are usable as region_use says so,
 * and taken as they are touched; where less is used, whole huge pages behind that are given back,
 * and are zero again.  It moves only in region_grow.  Huge pages are asked for once it uses a good
 * part of one.  Counted in @category as far as it is used; where it is smaller than a huge page, as
 * a whole. */
struct mem_region {
    void *base;
    size_t bytes_max;
    size_t bytes_used;
    enum mem_category category;
};
bool mem_region_reserve(struct mem_region *region, enum mem_category category,
                        size_t bytes_max) WARN_UNUSED;
bool mem_region_use(struct mem_region *region, size_t bytes_used) WARN_UNUSED;
/* Makes the address space larger.  base may change: no thread may be looking at it. */
bool mem_region_grow(struct mem_region *region, size_t bytes_max) WARN_UNUSED;
void mem_region_release(struct mem_region *region);

/* From here on a thread of the heap's own gives freed pages back to the system within some ten
 * seconds, also where nobody allocates.  False: there is none. */
bool mem_give_back_idle(void);

const char *mem_category_name(enum mem_category category);
const char *mem_category_text(enum mem_category category);
size_t mem_category_bytes(enum mem_category category); /* Off by what happens meanwhile. */
size_t mem_resident_bytes(void);                       /* Of the whole process, from the kernel. */

#endif
