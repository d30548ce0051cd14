/* What tests of expressions share: "SELECT expr" in the scope of a small schema, without a
 * database.
 */
#ifndef VECTRON_TEST_EXPR_FIXTURE_H
#define VECTRON_TEST_EXPR_FIXTURE_H

#include "test/unit/unit.h"

#include "expr/expr_int.h"

enum {
    PARAMETERS_MAX = 4,
    STACK_MAX = 64,
    NOW = 1000000, /* 1970-01-01 00:00:01Z */
};

/* One statement "SELECT expr" in the scope of a small schema, and what its row holds. */
struct expr_test {
    struct arena *arena;
    struct schema schema;
    uint8_t types[PARAMETERS_MAX];
    struct value parameters[PARAMETERS_MAX];
    struct value columns[COLUMNS_MAX];
    struct err err;
};

int expr_setup(void **state);
int expr_teardown(void **state);
enum errcode evaluate(struct expr_test *t, const char *expr, struct value *out);
#define gives(t, expr, text) gives_at((t), (expr), (text), __LINE__)
void gives_at(struct expr_test *t, const char *expr, const char *text, int line);
#define fails(t, expr, code, position) fails_at((t), (expr), (code), (position), __LINE__)
void fails_at(struct expr_test *t, const char *expr, enum errcode code, uint32_t position,
              int line);

#endif
