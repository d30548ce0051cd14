/* The levels of a turned vector, and the whole numbers of a query, for the instruction set of the
 * file that includes this.
 *
 * A row's levels are those of a uniform grid whose step is searched so that the cosine of the
 * vector and what the levels stand for is largest: first down from the largest element, then on
 * both sides of the best.  Sums are held in 16 lanes whatever the width of the registers, and
 * folded in one order, so machines agree in every bit. */
#include "index/lanes_int.h"

enum {
    LANE_PARTS = BITS_LANES / LANES,
    STEPS_AROUND = 2, /* Halvings of the distance between steps that are tried. */
};

/* How the step is searched. */
struct level_grid {
    float top;      /* The largest element over the step, at first. */
    float widening; /* From one step to the next coarser in that measure. */
    int n_steps;
    float offset; /* Added before truncation. */
    int32_t least, most;
    float zero; /* The level that stands for 0. */
};

static inline struct level_grid level_grid_of(unsigned bits)
{
    switch (bits) {
    case 8:
        return (struct level_grid){126, 1.02F, 3, 128.5F, 1, 255, 128};
    case 4:
        return (struct level_grid){7.2F, 1.1F, 8, 8, 0, 15, 7.5F};
    case 2:
    default:
        return (struct level_grid){1.8F, 1.15F, 8, 2, 0, 3, 1.5F};
    }
}

struct level_sums {
    float product, squares; /* <x, c>, |c|^2 */
};

LANES_INLINE float fold_lanes(const lanes_f sums[LANE_PARTS])
{
    float a[BITS_LANES];
    memcpy(a, sums, sizeof(a));
    for (size_t half = BITS_LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            a[i] += a[i + half];
        }
    }
    return a[0];
}

LANES_INLINE lanes_i levels_of(const float *x, float per_step, const struct level_grid *grid)
{
    lanes_f v;
    LOAD(v, x);
    v = v * per_step + grid->offset;
    return lanes_clamp(__builtin_convertvector(v, lanes_i), grid->least, grid->most);
}

LANES_INLINE struct level_sums sums_at(const float *x, uint32_t dim, float per_step,
                                       const struct level_grid *grid)
{
    lanes_f products[LANE_PARTS], squares[LANE_PARTS];
    UNROLL
    for (int part = 0; part < LANE_PARTS; part++) {
        products[part] = squares[part] = (lanes_f){0};
    }
    uint32_t n = padded_dim(dim);
    for (uint32_t i = 0; i < n; i += BITS_LANES) {
        UNROLL
        for (int part = 0; part < LANE_PARTS; part++) {
            const float *at = x + i + part * LANES;
            lanes_f v, c = __builtin_convertvector(levels_of(at, per_step, grid), lanes_f);
            LOAD(v, at);
            c -= grid->zero;
            products[part] += v * c;
            squares[part] += c * c;
        }
    }
    /* What stands behind the end has the level above 0. */
    float c = (float)(int32_t)grid->offset - grid->zero;
    return (struct level_sums){.product = fold_lanes(products),
                               .squares = fold_lanes(squares) - (float)(n - dim) * c * c};
}

LANES_INLINE bool is_closer(struct level_sums a, struct level_sums b)
{
    return a.product * a.product * b.squares > b.product * b.product * a.squares;
}

LANES_INLINE float largest(const float *x, uint32_t dim)
{
    lanes_f most = {0};
    for (uint32_t i = 0; i < dim; i += LANES) {
        lanes_f v;
        LOAD(v, x + i);
        v = (lanes_f)((lanes_i)v & INT32_MAX);
        lanes_i is_more = v > most;
        most = (lanes_f)(((lanes_i)v & is_more) | ((lanes_i)most & ~is_more));
    }
    float a[LANES], found = 0;
    memcpy(a, &most, sizeof(a));
    for (int i = 0; i < LANES; i++) {
        found = a[i] > found ? a[i] : found;
    }
    return found;
}

/* Returns how many steps the elements are multiplied with; *best is what that gives. */
LANES_INLINE float search_step(const float *x, uint32_t dim, const struct level_grid *grid,
                               struct level_sums *best)
{
    float tried = grid->top / largest(x, dim), found = tried;
    *best = sums_at(x, dim, tried, grid);
    for (int step = 1; step < grid->n_steps; step++) {
        tried *= grid->widening;
        struct level_sums sums = sums_at(x, dim, tried, grid);
        if (is_closer(sums, *best)) {
            *best = sums;
            found = tried;
        }
    }
    float apart = grid->widening - 1;
    for (int halving = 0; halving < STEPS_AROUND; halving++) {
        apart /= 2;
        float around[] = {found * (1 - apart), found * (1 + apart)};
        UNROLL
        for (int side = 0; side < 2; side++) {
            struct level_sums sums = sums_at(x, dim, around[side], grid);
            if (is_closer(sums, *best)) {
                *best = sums;
                found = around[side];
            }
        }
    }
    return found;
}

static TARGET float search_levels(const float *x, uint32_t dim, unsigned bits, uint8_t *levels)
{
    const struct level_grid grid = level_grid_of(bits);
    struct level_sums best;
    float per_step = search_step(x, dim, &grid, &best);
    for (uint32_t i = 0; i < dim; i += LANES) {
        lanes_i u = levels_of(x + i, per_step, &grid);
        UNROLL
        for (uint32_t lane = 0; lane < LANES; lane++) {
            levels[i + lane] = (uint8_t)u[lane];
        }
    }
    return best.product;
}

static TARGET int32_t round_query(const float *x, uint32_t dim, int8_t *q, float *step)
{
    float most = largest(x, dim), per_step = most > 0 ? 127 / most : 0;
    lanes_i sums = {0};
    for (uint32_t i = 0; i < dim; i += LANES) {
        lanes_f v;
        LOAD(v, x + i);
        lanes_i n = __builtin_convertvector(v * per_step + 128.5F, lanes_i) - 128;
        sums += n;
        UNROLL
        for (uint32_t lane = 0; lane < LANES; lane++) {
            q[i + lane] = (int8_t)n[lane];
        }
    }
    int32_t sum = 0;
    UNROLL
    for (int lane = 0; lane < LANES; lane++) {
        sum += sums[lane];
    }
    *step = most / 127;
    return sum;
}

/* A row's own levels as a query. */
static TARGET int32_t own_levels(const uint8_t *row, uint32_t dim, unsigned bits, int8_t *planes)
{
    typedef uint8_t lanes_b __attribute__((vector_size(LANES * 4)));
    uint32_t bytes = plane_bytes(bits, dim), stride = plane_stride(bits, dim);
    const int base = bits_base(bits);
    lanes_u sums = {0};
    for (uint32_t i = 0; i < bytes; i += sizeof(lanes_u)) {
        lanes_u block = {0};
        memcpy(&block, row + i, bytes - i < sizeof(block) ? bytes - i : sizeof(block));
        for (unsigned plane = 0; plane < 8 / bits; plane++) {
            lanes_u u = block >> (plane * bits) & plane_mask(bits);
            sums += (u & 0xff) + (u >> 8 & 0xff) + (u >> 16 & 0xff) + (u >> 24);
            lanes_b q = bits == 8 ? (lanes_b)u - 128 : (lanes_b)(u << 1) - (uint8_t)base;
            STORE(q, planes + plane * stride + i);
        }
    }
    for (unsigned plane = 0; plane < 8 / bits; plane++) {
        uint32_t filled = plane_filled(bits, dim, plane);
        memset(planes + plane * stride + filled, 0, stride - filled);
    }
    int32_t sum = 0;
    UNROLL
    for (int lane = 0; lane < LANES; lane++) {
        sum += (int32_t)sums[lane];
    }
    return bits == 8 ? sum - 128 * (int32_t)dim : 2 * sum - base * (int32_t)dim;
}

/* All of it, with the kernels of the includer. */
#define BITS_FUNCTIONS                                                                             \
    {                                                                                              \
        .rotate = rotate, .levels = search_levels, .round = round_query, .own = own_levels,        \
        .keys_8 = keys_8, .keys_4 = keys_4, .keys_2 = keys_2                                       \
    }
