/* UPDATE and DELETE: what they mean.  operator_modify.c carries them out. */
#include "plan/analyze_int.h"

static enum errcode analyze_changes(struct analysis *a, const struct stmt_update *s,
                                    struct err *err)
{
    struct modify_plan *plan = &a->plan->modify;
    struct column_mask seen = {0};
    plan->n_set = s->n_set;
    plan->columns = arena_array(a->scope.arena, s->n_set, sizeof(*plan->columns));
    plan->values = arena_array(a->scope.arena, s->n_set, sizeof(const struct program *));
    if (plan->columns == NULL || plan->values == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < s->n_set; i++) {
        const struct name *name = &s->set[i].column;
        enum errcode code = analyze_column(a, name, &plan->columns[i], err);
        if (code != ERR_OK) {
            return code;
        }
        if (plan->columns[i] == 0) {
            err_at(err, name->position, ERR_FEATURE_UNSUPPORTED,
                   "the primary key \"%s\" of a row cannot be changed", name->text);
            err_hint(err, "Insert the row under its new key and delete the old one.");
            return ERR_FEATURE_UNSUPPORTED;
        }
        if (mask_has(&seen, plan->columns[i])) {
            return err_at(err, name->position, ERR_DUPLICATE_COLUMN, "column \"%s\" is set twice",
                          name->text);
        }
        mask_add(&seen, plan->columns[i]);
        enum value_type type = a->plan->schema->columns[plan->columns[i]].type;
        code = program_compile(&a->scope, s->set[i].value, type, &plan->values[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

enum errcode analyze_modify(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    bool is_delete = stmt->kind == STMT_DELETE;
    const struct name *collection = is_delete ? &stmt->del.collection : &stmt->update.collection;
    const struct options *with = is_delete ? &stmt->del.with : &stmt->update.with;
    struct modify_plan *plan = &a->plan->modify;
    plan->is_delete = is_delete;
    if (analyze_collection(a, collection, err) != ERR_OK ||
        analyze_with(a, with, NULL, err) != ERR_OK ||
        (!is_delete && analyze_changes(a, &stmt->update, err) != ERR_OK) ||
        analyze_where(a, is_delete ? stmt->del.where : stmt->update.where, err) != ERR_OK) {
        return err->code;
    }
    a->plan->reads_all = true;
    uint32_t n = is_delete ? 1 : a->plan->schema->n_columns; /* DELETE needs the key alone. */
    for (uint32_t i = 0; i < n; i++) {
        mask_add(&plan->reads, i);
    }
    if (operator_add(a, OPERATOR_scan, NULL, err) != ERR_OK) {
        return err->code;
    }
    return operator_add(a, is_delete ? OPERATOR_delete : OPERATOR_update, NULL, err);
}
