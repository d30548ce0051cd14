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
    /* VECTOR only: what stands behind it, and not in the policy. */
    bool has_quantization, is_quantization_auto;
    enum quantization quantization;
};

/* A schema that is kept is held: counted, never changed, and only as large as its columns, so it
 * must not be copied by value. */
struct schema {
    uint64_t id; /* Of the collection; never used again. */
    char name[NAME_BYTES_MAX + 1];
    struct policy_set policies; /* Level collection. */
    _Atomic uint32_t n_holders; /* 0: it is not held, but somebody's own. */
    uint32_t n_columns;
    struct column columns[COLUMNS_MAX];
};

/* One holder more of a held schema, or a copy of another one that is held; NULL: no memory. */
const struct schema *schema_hold(const struct schema *schema) WARN_UNUSED;
void schema_release(const struct schema *schema); /* NULL is allowed. */

/* The column's number, or -1. */
int schema_column(const struct schema *schema, const char *name);
/* The first VECTOR column's number, or -1. */
int schema_first_vector(const struct schema *schema);
/* Its vectors have no graph. */
bool schema_is_flat(const struct schema *schema);
/* What is in force for a VECTOR column where the policy is @policy. */
enum quantization column_quantization(const struct column *column,
                                      const struct policy_value *policy);
const char *distance_name(enum distance distance); /* As in VQL: "COSINE". */

/* A versioned record, for the catalog. */
void schema_write(struct buf *b, const struct schema *schema);
enum errcode schema_read(struct reader *r, struct schema *out, struct err *err) WARN_UNUSED;

#endif
