/* Registers of LANES floats or whole numbers, for the file of an instruction set that defines LANES
 * (4, 8 or 16) and TARGET, and gives the compiler's vectors what they lack:
 *
 *     lanes_clamp(v, least, most)
 *     lanes_flipped(v, signs)      -v where the lane's bit of @signs is set
 *     lanes_plus(v, sign, w)       w + sign v for signs of 1 and -1, rounded once
 */
#ifndef VECTRON_INDEX_LANES_INT_H
#define VECTRON_INDEX_LANES_INT_H

#include "index/bits_int.h"

#include <string.h>

#define LANES_INLINE static inline __attribute__((always_inline)) TARGET

typedef float lanes_f __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_i __attribute__((vector_size(LANES * 4)));
typedef uint32_t lanes_u __attribute__((vector_size(LANES * 4)));

/* A register from memory of any alignment, and back. */
#define LOAD(v, at)  memcpy(&(v), (at), sizeof(v))
#define STORE(v, at) memcpy((at), &(v), sizeof(v))
#define SPLAT_I(n)   ((lanes_i){0} + (int32_t)(n))

static const int32_t lane_numbers[BITS_LANES] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                 8, 9, 10, 11, 12, 13, 14, 15};

#endif
