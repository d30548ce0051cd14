/* SET, RESET and SHOW of policies, SHOW of views, and DESCRIBE: what they name. */
#include "plan/analyze_int.h"

#include <string.h>

/* ---- SET and RESET ---- */

static enum errcode analyze_policy_name(struct analysis *a, const struct name *name,
                                        struct err *err)
{
    const char *nearest = NULL;
    a->plan->set.id = policy_find(name->text, &nearest);
    if (a->plan->set.id != POLICY_COUNT) {
        return ERR_OK;
    }
    err_at(err, name->position, ERR_UNKNOWN_POLICY, "there is no policy \"%s\"", name->text);
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant \"%s\".", nearest);
    } else {
        const char *habit = parser_habit_of_name(name->text);
        err_hint(err, "%s", habit != NULL ? habit : "SHOW ALL lists the policies.");
    }
    err_policy(err, name->text);
    return ERR_UNKNOWN_POLICY;
}

enum errcode analyze_set(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    enum errcode code = analyze_policy_name(a, &stmt->set.name, err);
    return code == ERR_OK
               ? analyze_constant(a, stmt->set.value, TYPE_NULL, &a->plan->set.value, err)
               : code;
}

enum errcode analyze_reset(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    if (strcmp(stmt->reset.name.text, "all") == 0) {
        a->plan->set.id = POLICY_COUNT;
        return ERR_OK;
    }
    enum errcode code = analyze_policy_name(a, &stmt->reset.name, err);
    if (code == ERR_OK && (policy_row(a->plan->set.id)->scopes & SCOPE_SESSION) == 0) {
        err_at(err, stmt->reset.name.position, ERR_POLICY_SCOPE,
               "policy \"%s\" is none of the session's", stmt->reset.name.text);
        err_hint(err, "SHOW POLICIES tells where each can be set.");
        err_policy(err, stmt->reset.name.text);
        return ERR_POLICY_SCOPE;
    }
    return code;
}

/* ---- SHOW and DESCRIBE ---- */

static enum errcode analyze_show_policy(struct analysis *a, struct err *err)
{
    static const struct result_column columns[] = {
        {.name = "name", .type = TYPE_TEXT},   {.name = "value", .type = TYPE_TEXT},
        {.name = "origin", .type = TYPE_TEXT}, {.name = "unit", .type = TYPE_TEXT},
        {.name = "text", .type = TYPE_TEXT},   {.name = "pending", .type = TYPE_TEXT},
    };
    return analyze_result(a, columns, COUNT_OF(columns), err);
}

static enum errcode unknown_show(const struct name *name, struct err *err)
{
    const char *names[POLICY_COUNT + 16] = {"all"};
    size_t n = 1;
    for (int i = 0; i < POLICY_COUNT; i++) {
        names[n++] = policy_row((enum policy_id)i)->name;
    }
    for (size_t i = 0; i < view_count() && n < COUNT_OF(names); i++) {
        names[n++] = view_at(i)->name;
    }
    err_at(err, name->position, ERR_UNKNOWN_POLICY, "there is no policy or view \"%s\"",
           name->text);
    const char *nearest = err_nearest(name->text, names, n);
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant \"%s\".", nearest);
    } else {
        const char *habit = parser_habit_of_name(name->text);
        err_hint(err, "%s",
                 habit != NULL ? habit : "SHOW ALL lists the policies, SHOW VIEWS the views.");
    }
    err_policy(err, name->text);
    return ERR_UNKNOWN_POLICY;
}

enum errcode analyze_show(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    const struct name *name = &stmt->show.name;
    struct policy_plan *plan = &a->plan->set;
    plan->id = policy_find(name->text, NULL);
    plan->view = plan->id == POLICY_COUNT ? view_find(name->text) : NULL;
    if (plan->view != NULL) {
        return analyze_result(a, plan->view->columns, plan->view->n_columns, err);
    }
    if (plan->id == POLICY_COUNT && strcmp(name->text, "all") != 0) {
        return unknown_show(name, err);
    }
    return analyze_show_policy(a, err);
}

enum errcode analyze_describe(struct analysis *a, const struct stmt *stmt, struct err *err)
{
    static const struct result_column columns[] = {
        {.name = "name", .type = TYPE_TEXT},
        {.name = "type", .type = TYPE_TEXT},
        {.name = "details", .type = TYPE_TEXT},
        {.name = "kind", .type = TYPE_TEXT},
    };
    enum errcode code = analyze_collection(a, &stmt->describe.collection, err);
    return code == ERR_OK ? analyze_result(a, columns, COUNT_OF(columns), err) : code;
}
