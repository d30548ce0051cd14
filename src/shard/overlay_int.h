/* Rows that the file has not got yet, and what each command did to the indexes (overlay.c). */
#ifndef VECTRON_SHARD_OVERLAY_INT_H
#define VECTRON_SHARD_OVERLAY_INT_H

#include "shard/row_int.h"

/* One version of one row; never changed once it is published. */
struct row_version {
    uint64_t number;
    uint64_t index; /* Of the log: seen by views that were opened at or after it. */
    const struct row_version *older_of_number;
    const struct row_version *older_of_key;
    uint32_t row_bytes; /* 0: from here on there is no such row. */
    uint16_t key_bytes;
    uint8_t data[]; /* The encoded key, then the stored row. */
};

struct slice version_key(const struct row_version *version);
struct slice version_row(const struct row_version *version);

/* What one command did to the indexes; TABLE_CHANGES keeps it encoded. */
struct change {
    uint64_t index; /* Of the log. */
    uint64_t first_row;
    uint64_t n_rows; /* New rows: first_row and those after it. */
    size_t n_deleted;
    const uint64_t *deleted;
    struct change *next; /* In the generation. */
};

void change_write(struct buf *b, const struct change *change);
/* Copies into @arena. */
enum errcode change_read(struct slice encoded, uint64_t index, struct arena *arena,
                         struct change *out, struct err *err) WARN_UNUSED;

/* A generation is what was applied between two flushes. */
struct generation;
struct generation *generation_new(uint64_t first_row, struct err *err);
void generation_ref(struct generation *generation);
void generation_unref(struct generation *generation); /* NULL is allowed. */
uint64_t generation_first_row(const struct generation *generation);
size_t generation_bytes(const struct generation *generation);
size_t generation_versions(const struct generation *generation);

/* Writing: one thread.  Room is made first, so that publishing cannot fail. */
enum errcode generation_reserve(struct generation *generation, size_t n,
                                struct err *err) WARN_UNUSED;
/* Key and row are the caller's to fill in before it is published. */
struct row_version *generation_version(struct generation *generation, size_t key_bytes,
                                       size_t row_bytes, struct err *err);
/* *deleted is the caller's to fill in. */
struct change *generation_change(struct generation *generation, size_t n_deleted,
                                 uint64_t **deleted, struct err *err);
void generation_publish(struct generation *generation, struct row_version *version);
void generation_publish_change(struct generation *generation, struct change *change);

/* Reading: any thread.  The newest version at or before @limit; NULL: the generation says nothing
 * about it. */
const struct row_version *generation_by_number(const struct generation *generation, uint64_t number,
                                               uint64_t limit);
/* False: no version of the 64 rows from @first on, a multiple of it. */
bool generation_may_have(const struct generation *generation, uint64_t first);
const struct row_version *generation_by_key(const struct generation *generation, struct slice key,
                                            uint64_t limit);

/* Of a generation that is not written any more: the newest version of each key or of each number,
 * sorted by it; the caller's (mem_free MEM_OVERLAY). */
enum version_order {
    ORDER_BY_KEY,
    ORDER_BY_NUMBER
};
enum errcode generation_sorted(const struct generation *generation, enum version_order order,
                               const struct row_version ***out, size_t *n,
                               struct err *err) WARN_UNUSED;
const struct change *generation_changes(const struct generation *generation);
/* What both say in the end, as one that no view of either needs: of each row the newest version
 * alone.  The caller's; NULL for want of memory. */
struct generation *generation_join(const struct generation *older, const struct generation *newer,
                                   struct err *err);

#endif
