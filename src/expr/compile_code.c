/* The code under way: its instructions, its constants, and how high its stack is. */
#include "expr/compile_int.h"

#include <string.h>

enum {
    EMIT_WORK = 100,
};

static bool grow(struct compiler *c, void **items, size_t item_bytes, uint32_t n,
                 uint32_t *capacity)
{
    if (n < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *larger = arena_array(c->scope->arena, wanted, item_bytes);
    if (larger == NULL) {
        return false;
    }
    if (n > 0) {
        memcpy(larger, *items, n * item_bytes);
    }
    *items = larger;
    *capacity = wanted;
    return true;
}

enum errcode code_emit(struct compiler *c, struct instruction instruction, uint32_t pops,
                       uint32_t pushes, struct err *err)
{
    enum errcode stop = work_spend(c->scope->work, EMIT_WORK, err);
    if (stop != ERR_OK) {
        return stop;
    }
    void *code = c->code;
    if (!grow(c, &code, sizeof(*c->code), c->n_code, &c->code_capacity)) {
        return err_no_memory(err);
    }
    c->code = code;
    c->code[c->n_code++] = instruction;
    CHECK(c->stack >= pops);
    c->stack = c->stack - pops + pushes;
    if (c->stack > c->stack_max) {
        c->stack_max = c->stack;
    }
    return ERR_OK;
}

enum errcode code_constant(struct compiler *c, const struct value *value, uint32_t position,
                           struct err *err)
{
    void *constants = c->constants;
    if (!grow(c, &constants, sizeof(*c->constants), c->n_constants, &c->constants_capacity)) {
        return err_no_memory(err);
    }
    c->constants = constants;
    c->constants[c->n_constants] = *value;
    struct instruction i = {.code = CODE_CONSTANT, .at = c->n_constants, .position = position};
    c->n_constants++;
    return code_emit(c, i, 0, 1, err);
}

enum errcode code_pattern(struct compiler *c, const struct like *pattern,
                          struct instruction instruction, struct err *err)
{
    void *patterns = c->patterns;
    if (!grow(c, &patterns, sizeof(*c->patterns), c->n_patterns, &c->patterns_capacity)) {
        return err_no_memory(err);
    }
    c->patterns = patterns;
    instruction.at = c->n_patterns;
    c->patterns[c->n_patterns++] = pattern;
    return code_emit(c, instruction, 1, 1, err);
}

struct program program_so_far(const struct compiler *c)
{
    return (struct program){.code = c->code,
                            .n_code = c->n_code,
                            .constants = c->constants,
                            .patterns = c->patterns,
                            .stack_max = c->stack_max};
}

enum errcode code_fold(struct compiler *c, uint32_t from, uint32_t variables_before,
                       uint32_t position, struct err *err)
{
    if (c->n_variables != variables_before || c->n_code - from < 2) {
        return ERR_OK;
    }
    struct program program = program_so_far(c);
    struct evaluator evaluator = {.arena = c->scope->arena, .work = c->scope->work};
    evaluator.stack = arena_array(c->scope->arena, c->stack_max + 1, sizeof(struct value));
    if (evaluator.stack == NULL) {
        return err_no_memory(err);
    }
    struct value result;
    enum errcode code = program_run_part(&program, from, c->n_code, &evaluator, &result, err);
    if (code != ERR_OK && c->n_conditional > 0) {
        err_clear(err); /* It is told where it is met; a cancel is told again. */
        return ERR_OK;
    }
    if (code != ERR_OK) {
        return code;
    }
    c->n_code = from;
    c->stack--;
    return code_constant(c, &result, position, err);
}
