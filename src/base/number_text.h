/* Numbers as text and back, where the C library is too slow: vectors have thousands of them
 * (number_text.c). */
#ifndef VECTRON_BASE_NUMBER_TEXT_H
#define VECTRON_BASE_NUMBER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLOAT_TEXT_BYTES = 32, /* Room for any text of float_to_text. */
    NUMBER_DIGITS_MAX = 19 /* That a uint64_t always holds. */
};

/* The text that number_format gives for @x, without an end; returns its length, or 0 where the C
 * library must tell. */
size_t float_to_text(float x, char out[FLOAT_TEXT_BYTES]);

/* What a number's text says: digits x 10^power, if n_digits <= NUMBER_DIGITS_MAX. */
struct number_text {
    size_t bytes; /* 0: no number stands there. */
    uint64_t digits;
    int n_digits; /* Without leading zeros. */
    int power;
    bool is_integer;
};

/* Reads [digits][.digits][e[+-]digits] in [at, end), without a sign. */
struct number_text number_scan(const char *at, const char *end);
/* What strtod and strtof make of it.  False where they must tell. */
bool number_to_double(const struct number_text *n, double *out);
bool number_to_float(const struct number_text *n, float *out);

#endif
