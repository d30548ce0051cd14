/* Plans: immutable, so that any thread may read one. */
#include "plan/plan.h"

void plan_free(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    schema_release(plan->schema);
    arena_free(plan->arena); /* The plan itself is in it. */
}

bool plan_reads_vector(const struct plan *plan, const struct column_mask *columns)
{
    CHECK(plan->schema != NULL);
    for (uint32_t i = 0; i < plan->schema->n_columns; i++) {
        if (plan->schema->columns[i].type == TYPE_VECTOR && mask_has(columns, i)) {
            return true;
        }
    }
    return false;
}

enum errcode plan_wrong_dimension(const struct plan *plan, uint32_t dim, uint32_t position,
                                  struct err *err)
{
    CHECK(plan->schema != NULL && plan->search.column < plan->schema->n_columns);
    const struct column *column = &plan->schema->columns[plan->search.column];
    CHECK(column->type == TYPE_VECTOR && column->dim != dim);
    err_at(err, position, ERR_WRONG_DIMENSION,
           "the query vector has %u dimensions, and column \"%s\" has %u", dim, column->name,
           column->dim);
    err_collection(err, plan->schema->name);
    err_column(err, column->name);
    return ERR_WRONG_DIMENSION;
}

enum errcode plan_unknown_key(const struct plan *plan, const struct value *key, bool is_there,
                              uint32_t position, struct err *err)
{
    enum {
        KEY_TEXT_BYTES = 4096
    };
    CHECK(key != NULL && plan->schema != NULL);
    if (key->type == TYPE_NULL) {
        return err_at(err, position, ERR_UNKNOWN_KEY, "the key of the query is NULL");
    }
    struct buf text;
    buf_init(&text, MEM_STATEMENT, KEY_TEXT_BYTES);
    value_format(&text, key);
    buf_u8(&text, 0);
    err_at(err, position, ERR_UNKNOWN_KEY, "%s \"%.200s\" in collection \"%s\"",
           is_there ? "there is no vector in the row with the key" : "there is no row with the key",
           text.failed ? "..." : (const char *)text.data, plan->schema->name);
    err_collection(err, plan->schema->name);
    buf_fini(&text);
    return ERR_UNKNOWN_KEY;
}
