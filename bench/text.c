/* Vectors as text and back: what a number costs.  make bench/text && bench/text
 *
 *   random     of 24 bits, between -1 and 1: eight or nine digits
 *   short      of three digits behind the point
 *   whole      numbers below 256, as of pictures */
#include "base/base.h"

#include <stdio.h>

enum {
    DIM = 768,
    ROUNDS = 2000
};

static float of_kind(int kind, uint64_t *chance)
{
    uint64_t bits = random_next(chance) >> 40;
    switch (kind) {
    case 0:
        return (float)bits / (1 << 23) - 1;
    case 1:
        return (float)(bits % 2000) / 1000;
    default:
        return (float)(bits % 256);
    }
}

static double ns_a_number(uint64_t began_us)
{
    return (double)(clock_micros() - began_us) * 1000 / (DIM * ROUNDS);
}

int main(void)
{
    static const char *const kinds[] = {"random", "short", "whole"};
    static float floats[DIM];
    uint64_t chance = 1;
    struct err err;
    struct buf text;
    buf_init(&text, MEM_GENERAL, SIZE_MAX / 2);
    struct arena *arena = arena_new(MEM_GENERAL, SIZE_MAX);
    printf("kind\tbytes\twrite_ns\tread_ns\n");
    for (int kind = 0; kind < (int)COUNT_OF(kinds); kind++) {
        for (size_t i = 0; i < DIM; i++) {
            floats[i] = of_kind(kind, &chance);
        }
        struct value vector = value_vector(floats, DIM), back;
        uint64_t began_us = clock_micros();
        for (int i = 0; i < ROUNDS; i++) {
            buf_reset(&text);
            value_format(&text, &vector);
        }
        double write_ns = ns_a_number(began_us);
        began_us = clock_micros();
        for (int i = 0; i < ROUNDS; i++) {
            arena_reset(arena);
            CHECK(value_parse(TYPE_VECTOR, (const char *)text.data, text.bytes, arena, &back,
                              &err) == ERR_OK);
        }
        CHECK(value_compare(&vector, &back) == 0);
        printf("%s\t%.1f\t%.1f\t%.1f\n", kinds[kind], (double)text.bytes / DIM, write_ns,
               ns_a_number(began_us));
    }
    arena_free(arena);
    buf_fini(&text);
    return 0;
}
