/* Functions: the table of functions.def, and what a C function of it is given. */
#ifndef VECTRON_EXPR_FUNCTION_INT_H
#define VECTRON_EXPR_FUNCTION_INT_H

#include "expr/expr_int.h"

enum {
    ARGUMENTS_MAX = 3,
    ARGUMENTS_MANY = UINT8_MAX,
};

/* What a function takes or gives, beside the types of values. */
enum {
    TYPE_ANY = TYPE_COUNT,
    TYPE_ALIKE,
    TYPE_ORDERED,
};

/* A call at work.  Its results that are not in an argument's memory are in the evaluator's. */
struct call {
    const struct evaluator *evaluator;
    uint32_t n; /* Arguments. */
    uint32_t position;
};

struct function {
    const char *name;
    /* The result takes the place of values[0], the first argument.  NULL: a FORM, which
     * compile_call.c compiles. */
    enum errcode (*run)(const struct call *call, struct value *values, struct err *err);
    bool is_strict;
    uint8_t gives, n;
    uint8_t takes[ARGUMENTS_MAX];
};

#define FUNCTION(name, function, nulls, gives, n, takes, text)                                     \
    enum errcode call_##function(const struct call *call, struct value *values, struct err *err);
#define FORM(name, function, nulls, gives, n, takes, text)
#include "expr/functions.def"
#undef FUNCTION
#undef FORM

const struct function *function_at(size_t number);
typedef const char *row_name(size_t number);
/* Of a table whose rows of one name stand together: the first of that name, and how many. */
size_t rows_find(row_name *name_of, size_t n_rows, const char *name, size_t *n);
/* The first row of that name, and how many there are; 0: there is no such function. */
size_t functions_find(const char *name, size_t *n);
size_t functions_count(void);

/* ---- what they share ---- */

/* The value as a text, in @arena. */
enum errcode value_to_text(const struct value *value, struct arena *arena, struct value *out,
                           struct err *err) WARN_UNUSED;
/* Refuses what is longer than TEXT_BYTES_MAX. */
enum errcode check_text_bytes(uint32_t position, size_t bytes, struct err *err) WARN_UNUSED;

/* letters.c; other characters stay. */
uint32_t letter_lower(uint32_t c);
uint32_t letter_upper(uint32_t c);

#endif
