/* What a collection is: its columns, its vector columns' metrics, and its own policies.
 *
 * Kept by pd, obeyed by shard, asked by query.  Column 0 is always the primary key. */
#ifndef VECTRON_BASE_SCHEMA_H
#define VECTRON_BASE_SCHEMA_H

#include "base/policy.h"
#include "base/value.h"

enum {
    NAME_BYTES_MAX = 63,
    COLUMNS_MAX = 256,
    KEY_BYTES_MAX = 400, /* Of a TEXT primary key: LMDB's keys end at 511 bytes. */
};

/* How near two vectors are.  A distance is smaller where they are nearer: L2 is the Euclidean
 * distance, COSINE is 1 - cos, DOT is the negated inner product.  Numbers on wire and disk. */
enum distance {
    DISTANCE_L2 = 1,
    DISTANCE_COSINE = 2,
    DISTANCE_DOT = 3
};

struct column {
    char name[NAME_BYTES_MAX + 1];
    enum value_type type;
    uint32_t dim;           /* VECTOR only. */
    enum distance distance; /* VECTOR only. */
    bool is_not_null;       /* The key always is. */
};

struct schema {
    uint64_t id; /* Of the collection; never used again. */
    char name[NAME_BYTES_MAX + 1];
    uint32_t n_columns;
    struct column columns[COLUMNS_MAX];
    struct policy_set policies; /* Level collection. */
};

/* The column's number, or -1. */
int schema_column(const struct schema *schema, const char *name);
/* The first VECTOR column's number, or -1. */
int schema_first_vector(const struct schema *schema);
const char *distance_name(enum distance distance); /* As in VQL: "COSINE". */

/* A versioned record, for the catalog. */
void schema_write(struct buf *b, const struct schema *schema);
enum errcode schema_read(struct reader *r, struct schema *out, struct err *err) WARN_UNUSED;

#endif
