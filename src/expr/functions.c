/* The table of functions, and how a row of such a table is found by its name. */
#include "expr/function_int.h"

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

size_t functions_count(void)
{
    return COUNT_OF(rows);
}
