/* The table of functions: found by name, and what is said where no function or aggregate fits. */
#include "expr/aggregate_int.h"

#include <string.h>

#define TAKES_0()                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }
#define TAKES_1(a)                                                                                 \
    {                                                                                              \
        TYPE_##a                                                                                   \
    }
#define TAKES_2(a, b)                                                                              \
    {                                                                                              \
        TYPE_##a, TYPE_##b                                                                         \
    }
#define TAKES_3(a, b, c)                                                                           \
    {                                                                                              \
        TYPE_##a, TYPE_##b, TYPE_##c                                                               \
    }
#define TAKES_MANY(a)                                                                              \
    {                                                                                              \
        TYPE_##a                                                                                   \
    }
#define COUNT_0    0
#define COUNT_1    1
#define COUNT_2    2
#define COUNT_3    3
#define COUNT_MANY ARGUMENTS_MANY
enum {
    NULLS_STRICT = true,
    NULLS_LOOSE = false
};

static const struct function rows[] = {
#define FUNCTION(name, function, nulls, gives, n, takes, text)                                     \
    {#name, call_##function, NULLS_##nulls, TYPE_##gives, COUNT_##n, TAKES_##n takes},
#define FORM(name, function, nulls, gives, n, takes, text)                                         \
    {#name, NULL, NULLS_##nulls, TYPE_##gives, COUNT_##n, TAKES_##n takes},
#include "expr/functions.def"
#undef FUNCTION
#undef FORM
};
_Static_assert(COUNT_OF(rows) <= UINT8_MAX + 1, "an instruction has eight bits for its function");

enum {
    NAMES_MAX = COUNT_OF(rows) + 32, /* Of functions and aggregates. */
    NEAR_NAMES_MAX = 3,
    LIST_BYTES = 128,
};

const struct function *function_at(size_t number)
{
    CHECK(number < COUNT_OF(rows));
    return &rows[number];
}

size_t rows_find(row_name *name_of, size_t n_rows, const char *name, size_t *n)
{
    size_t first = 0;
    while (first < n_rows && strcmp(name_of(first), name) != 0) {
        first++;
    }
    size_t end = first;
    while (end < n_rows && strcmp(name_of(end), name) == 0) {
        end++;
    }
    *n = end - first;
    return first;
}

static const char *name_of(size_t number)
{
    return rows[number].name;
}

size_t functions_find(const char *name, size_t *n)
{
    return rows_find(name_of, COUNT_OF(rows), name, n);
}

/* A text that is made of parts and cut where it is full. */
struct list {
    char text[LIST_BYTES];
    size_t bytes;
};

static void add(struct list *list, const char *text)
{
    size_t bytes = strlen(text), room = sizeof(list->text) - 1 - list->bytes;
    bytes = bytes < room ? bytes : room;
    memcpy(list->text + list->bytes, text, bytes);
    list->bytes += bytes;
    list->text[list->bytes] = '\0';
}

static const char *type_text(unsigned type)
{
    return type == TYPE_ANY                             ? "any"
           : type == TYPE_ALIKE || type == TYPE_ORDERED ? "alike"
                                                        : type_name((enum value_type)type);
}

/* "(TEXT, INT)" */
static void add_arguments(struct list *list, const struct function *f)
{
    size_t n = f->n == ARGUMENTS_MANY ? 1 : f->n;
    add(list, "(");
    for (size_t i = 0; i < n; i++) {
        add(list, i > 0 ? ", " : "");
        add(list, type_text(f->takes[i]));
    }
    add(list, f->n == ARGUMENTS_MANY ? ", ...)" : ")");
}

/* @name is not one of the n before it, or is the last of them. */
static size_t add_name(const char **names, size_t n, const char *name)
{
    if (n > 0 && strcmp(names[n - 1], name) == 0) {
        return n;
    }
    CHECK(n < NAMES_MAX);
    names[n] = name;
    return n + 1;
}

/* Of all functions and aggregates. */
static size_t list_names(const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        n = add_name(names, n, rows[i].name);
    }
    for (size_t i = 0; i < aggregates_count(); i++) {
        n = add_name(names, n, aggregate_at(i)->name);
    }
    return n;
}

enum errcode function_unknown(const struct expr *e, struct err *err)
{
    const char *names[NAMES_MAX] = {NULL}, *near[NEAR_NAMES_MAX];
    size_t n = list_names(names), n_near = 0;
    err_at(err, e->position, ERR_UNKNOWN_FUNCTION, "there is no function \"%s\"", e->name);
    const char *habit = parser_habit_of_name(e->name);
    if (habit != NULL) {
        err_hint(err, "%s", habit);
        return ERR_UNKNOWN_FUNCTION;
    }
    while (n_near < NEAR_NAMES_MAX && (near[n_near] = err_nearest(e->name, names, n)) != NULL) {
        for (size_t i = 0; i < n; i++) {
            names[i] = names[i] == near[n_near] ? names[--n] : names[i];
        }
        n_near++;
    }
    struct list list = {.bytes = 0};
    for (size_t i = 0; i < n_near; i++) {
        add(&list, i == 0 ? "" : i + 1 < n_near ? ", " : " or ");
        add(&list, near[i]);
    }
    if (n_near > 0) {
        err_hint(err, "Perhaps you meant %s.", list.text);
    } else {
        err_hint(err, "The manual of VQL lists the functions under Expressions.");
    }
    return ERR_UNKNOWN_FUNCTION;
}

enum errcode function_mismatch(const struct expr *e, const enum value_type *types, size_t n,
                               struct err *err)
{
    struct list given = {.bytes = 0}, taken = {.bytes = 0};
    for (size_t i = 0; i < n; i++) {
        add(&given, i > 0 ? ", " : "");
        add(&given, type_name(types[i]));
    }
    add(&given, n < e->n_items ? ", ..." : e->is_star ? "*" : "");
    err_at(err, e->position, ERR_UNKNOWN_FUNCTION, "there is no function %s(%s)", e->name,
           given.text);
    size_t n_rows, first = functions_find(e->name, &n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        add(&taken, i == 0 ? "" : i + 1 < n_rows ? ", " : " or ");
        add_arguments(&taken, &rows[first + i]);
    }
    err_hint(err, "%s takes %s; CAST(x AS type) makes another type of a value.", e->name,
             taken.text);
    return ERR_UNKNOWN_FUNCTION;
}

enum errcode aggregate_mismatch(const struct expr *e, enum value_type type, struct err *err)
{
    struct list taken = {.bytes = 0};
    size_t n, first = aggregates_find(e->name, &n);
    for (size_t i = first; i < first + n; i++) {
        unsigned takes = aggregate_at(i)->takes;
        add(&taken, i == first ? "" : i + 1 < first + n ? ", " : " or ");
        add(&taken, takes == TYPE_STAR      ? "*"
                    : takes == TYPE_ORDERED ? "any type that has an order"
                                            : type_text(takes));
    }
    const char *given = e->is_star ? "*" : e->n_items == 1 ? type_name(type) : "";
    err_at(err, e->position, ERR_UNKNOWN_FUNCTION, "there is no aggregate %s(%s%s%s)", e->name,
           e->is_distinct ? "DISTINCT " : "", given, e->n_items > 1 ? "..." : "");
    err_hint(err, "%s takes one argument, %s; CAST(x AS type) makes another type of a value.",
             e->name, taken.text);
    return ERR_UNKNOWN_FUNCTION;
}
