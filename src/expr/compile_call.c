/* Calls, compiled: which row of functions.def a call means.
 *
 * It is that of its name and number of arguments to whose types those of the call come nearest: the
 * same type is nearest, an INT may become a FLOAT, and a text literal or an untyped parameter
 * becomes TEXT where a row takes that, else FLOAT, else anything. */
#include "expr/compile_int.h"
#include "expr/function_int.h"

enum {
    CHOICE_WORK = 50,
    SHOWN_MAX = 4, /* Arguments whose types an error shows. */
};

/* By the numbers of the rows; NULL: a function, which is run. */
static enum errcode (*const forms[])(struct compiler *c, const struct expr *e, enum value_type type,
                                     struct err *err) = {
#define FUNCTION(name, function, nulls, gives, n, takes, text) NULL,
#define FORM(name, function, nulls, gives, n, takes, text)     form_##function,
#include "expr/functions.def"
#undef FUNCTION
#undef FORM
};

struct choice {
    const struct function *function; /* NULL: none fits. */
    size_t number;
    enum value_type alike;              /* In which those meet that are to be alike. */
    enum value_type shown[SHOWN_MAX];   /* Of the first arguments. */
    struct shape shapes[ARGUMENTS_MAX]; /* The same, of those that rows tell apart. */
    bool is_torn;                       /* They do not meet. */
};

unsigned shape_distance(unsigned takes, struct shape shape)
{
    switch (takes) {
    case TYPE_ANY:
    case TYPE_ALIKE:
        return 0;
    case TYPE_ORDERED:
        return shape.type == TYPE_JSON || shape.type == TYPE_VECTOR ? IS_FAR : 0;
    default:
        if (shape.is_soft) {
            return takes == TYPE_TEXT ? 0 : takes == TYPE_FLOAT ? 1 : 2;
        }
        return takes == shape.type ? 0 : takes == TYPE_FLOAT && shape.type == TYPE_INT ? 1 : IS_FAR;
    }
}

static unsigned distance_of(unsigned takes, struct shape shape, const struct choice *choice)
{
    if (takes != TYPE_ALIKE && takes != TYPE_ORDERED) {
        return shape_distance(takes, shape);
    }
    return choice->is_torn ? IS_FAR : shape_distance(takes, (struct shape){.type = choice->alike});
}

static unsigned distance_of_row(const struct function *f, const struct expr *e,
                                const struct choice *choice)
{
    bool is_many = f->n == ARGUMENTS_MANY;
    if (e->is_star || (is_many ? e->n_items == 0 : e->n_items != f->n)) {
        return IS_FAR;
    }
    if (is_many) {
        return distance_of(f->takes[0], choice->shapes[0], choice);
    }
    unsigned distance = 0;
    for (size_t i = 0; i < f->n; i++) {
        distance += distance_of(f->takes[i], choice->shapes[i], choice);
    }
    return distance;
}

/* Each argument's shape is asked for once: it asks its own arguments. */
static struct choice choose(const struct compiler *c, const struct expr *e)
{
    struct choice choice = {.function = NULL};
    struct shape all = {.type = TYPE_NULL, .is_soft = true};
    work_charge(c->scope->work, CHOICE_WORK);
    for (size_t i = 0; i < e->n_items; i++) {
        struct shape shape = shape_of(c, e->items[i]);
        choice.is_torn = !shape_join(&all, shape) || choice.is_torn;
        if (i < ARGUMENTS_MAX) {
            choice.shapes[i] = shape;
        }
        if (i < SHOWN_MAX) {
            choice.shown[i] = shape.type;
        }
    }
    choice.alike = shape_joined(all);
    size_t n, first = functions_find(e->name, &n);
    unsigned nearest = IS_FAR;
    for (size_t i = first; i < first + n; i++) {
        unsigned distance = distance_of_row(function_at(i), e, &choice);
        if (distance < nearest) {
            nearest = distance;
            choice.function = function_at(i);
            choice.number = i;
        }
    }
    return choice;
}

static enum value_type type_given(const struct choice *choice, unsigned type)
{
    return type == TYPE_ALIKE || type == TYPE_ORDERED ? choice->alike : (enum value_type)type;
}

struct shape shape_of_call(const struct compiler *c, const struct expr *e)
{
    if (is_aggregate(e)) {
        return shape_of_aggregate(c, e);
    }
    struct choice choice = choose(c, e);
    if (choice.function == NULL) { /* It will be refused. */
        return (struct shape){.type = TYPE_NULL, .is_soft = true};
    }
    return (struct shape){.type = type_given(&choice, choice.function->gives)};
}

static enum errcode refuse(const struct expr *e, const struct choice *choice, struct err *err)
{
    size_t n, first = functions_find(e->name, &n);
    unsigned takes = function_at(first)->takes[0];
    bool is_alike = takes == TYPE_ALIKE || takes == TYPE_ORDERED;
    if (is_alike && choice->is_torn) {
        err_at(err, e->position, ERR_TYPE_MISMATCH, "the arguments of %s are not of one type",
               e->name);
        err_hint(err, "CAST(x AS type) makes another type of a value.");
        return ERR_TYPE_MISMATCH;
    }
    return function_mismatch(e, choice->shown, e->n_items < SHOWN_MAX ? e->n_items : SHOWN_MAX,
                             err);
}

enum errcode code_call(struct compiler *c, const struct expr *e, enum value_type *type,
                       struct err *err)
{
    if (is_aggregate(e)) {
        return code_aggregate(c, e, type, err);
    }
    if (e->is_distinct) {
        return err_at(err, e->position, ERR_SYNTAX,
                      "DISTINCT cannot stand in %s(): it is no aggregate", e->name);
    }
    struct choice choice = choose(c, e);
    const struct function *f = choice.function;
    if (f == NULL) {
        return refuse(e, &choice, err);
    }
    *type = type_given(&choice, f->gives);
    if (forms[choice.number] != NULL) {
        return forms[choice.number](c, e, *type, err);
    }
    for (size_t i = 0; i < e->n_items; i++) {
        unsigned takes = f->takes[f->n == ARGUMENTS_MANY ? 0 : i];
        enum value_type given, want = takes == TYPE_ANY ? TYPE_NULL : type_given(&choice, takes);
        enum errcode code = code_expr(c, e->items[i], want, &given, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct instruction call = {.code = CODE_CALL,
                               .op = (uint8_t)choice.number,
                               .at = (uint32_t)e->n_items,
                               .position = e->position};
    return code_emit(c, call, call.at, 1, err);
}

/* ---- forms ---- */

enum errcode form_now(struct compiler *c, const struct expr *e, enum value_type type,
                      struct err *err)
{
    CHECK(type == TYPE_TIMESTAMP);
    c->scope->used_now = true;
    c->n_variables++;
    struct instruction now = {.code = CODE_PSEUDO, .at = PSEUDO_NOW, .position = e->position};
    return code_emit(c, now, 0, 1, err);
}
