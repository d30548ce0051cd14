/* The kinds of data on which an index may break its word. */
#include "promises.h"

#include <math.h>

enum {
    CLUSTER_ROWS = 75,
    GROUP_ROWS = 15,
    DRIFT_ROWS = 500 /* In which the middle moves by as much as the rows are wide. */
};

static uint64_t next(struct random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

double random_uniform(struct random *random)
{
    return (double)(next(random) >> 11) / 9007199254740992.0;
}

static double normal(struct random *random)
{
    double r = sqrt(-2 * log(1 - random_uniform(random)));
    return r * cos(6.283185307179586 * random_uniform(random));
}

static void draw_uniform(struct random *random, const struct shape *shape, float *vector,
                         uint32_t number, enum role role)
{
    (void)number;
    (void)role;
    for (uint32_t i = 0; i < shape->dim; i++) {
        vector[i] = (float)random_uniform(random);
    }
}

static void draw_cluster(struct random *random, const struct shape *shape, float *vector,
                         uint32_t cluster)
{
    struct random centre = {cluster * 7919 + 1};
    for (uint32_t i = 0; i < shape->dim; i++) {
        vector[i] = (float)(10 * normal(&centre) + 0.05 * normal(random));
    }
}

/* Far clusters, one behind the other, as files that are sorted by topic have them. */
static void draw_clusters(struct random *random, const struct shape *shape, float *vector,
                          uint32_t number, enum role role)
{
    (void)role;
    draw_cluster(random, shape, vector, number / CLUSTER_ROWS);
}

/* Clusters so small that many have no row on an upper layer. */
static void draw_groups(struct random *random, const struct shape *shape, float *vector,
                        uint32_t number, enum role role)
{
    (void)role;
    draw_cluster(random, shape, vector, number / GROUP_ROWS);
}

/* Later rows lie elsewhere, and their directions ever closer together. */
static void draw_drift(struct random *random, const struct shape *shape, float *vector,
                       uint32_t number, enum role role)
{
    struct random way = {11};
    (void)role;
    for (uint32_t i = 0; i < shape->dim; i++) {
        vector[i] = (float)(normal(&way) * number / DRIFT_ROWS + normal(random));
    }
}

/* Nine tenths nearly equal, the rest anywhere. */
static void draw_near_equal(struct random *random, const struct shape *shape, float *vector,
                            uint32_t number, enum role role)
{
    struct random middle = {5};
    bool is_equal = random_uniform(random) < (role != ROLE_ROW ? 0.5 : 0.9);
    (void)number;
    for (uint32_t i = 0; i < shape->dim; i++) {
        double m = normal(&middle);
        vector[i] = (float)(is_equal ? m + 1e-3 * normal(random) : 3 * normal(random));
    }
}

static void draw_integers(struct random *random, const struct shape *shape, float *vector,
                          uint32_t number, enum role role)
{
    (void)number;
    for (uint32_t i = 0; i < shape->dim; i++) {
        double x = 1 + floor(6 * random_uniform(random));
        vector[i] = (float)(role != ROLE_ROW ? x + 0.8 * (random_uniform(random) - 0.5) : x);
    }
}

/* Squares of normal deviates: a gamma distribution, nothing below 0. */
static void draw_gamma(struct random *random, const struct shape *shape, float *vector,
                       uint32_t number, enum role role)
{
    (void)number;
    (void)role;
    for (uint32_t i = 0; i < shape->dim; i++) {
        double x = normal(random);
        vector[i] = (float)(x * x);
    }
}

static void draw_norms(struct random *random, const struct shape *shape, float *vector,
                       uint32_t number, enum role role)
{
    double length = pow(10, 3 * random_uniform(random));
    (void)number;
    (void)role;
    for (uint32_t i = 0; i < shape->dim; i++) {
        vector[i] = (float)(length * normal(random));
    }
}

/* Queries that lie far outside of the data. */
static void draw_far_queries(struct random *random, const struct shape *shape, float *vector,
                             uint32_t number, enum role role)
{
    (void)number;
    for (uint32_t i = 0; i < shape->dim; i++) {
        vector[i] = (float)((role != ROLE_ROW ? 30 : 1) * normal(random));
    }
}

/* Clusters unlike in length.  What is judged is asked for by nobody else: between two of them, or a
 * little farther from one than its rows are. */
static void draw_strangers(struct random *random, const struct shape *shape, float *vector,
                           uint32_t number, enum role role)
{
    bool is_between = role == ROLE_JUDGED && number % 2 == 0;
    uint32_t cluster = number / CLUSTER_ROWS, other = number % (cluster + 1);
    struct random a = {cluster * 7919 + 1}, b = {other * 7919 + 1};
    double length_a = 8 + 4 * random_uniform(&a), length_b = 8 + 4 * random_uniform(&b);
    double width = role == ROLE_JUDGED && !is_between ? 3 : 1;
    for (uint32_t i = 0; i < shape->dim; i++) {
        double x = length_a * normal(&a), y = length_b * normal(&b);
        vector[i] = (float)((is_between ? (x + y) / 2 : x) + width * normal(random));
    }
}

const struct shape shapes[] = {
    {"uniform", 128, draw_uniform},      {"clusters", 16, draw_clusters},
    {"near-equal", 24, draw_near_equal}, {"plane", 2, draw_uniform},
    {"duplicates", 3, draw_integers},    {"non-negative", 160, draw_gamma},
    {"norms", 64, draw_norms},           {"far-queries", 32, draw_far_queries},
    {"groups", 16, draw_groups},         {"drift", 40, draw_drift},
    {"strangers", 128, draw_strangers},
};
const size_t n_shapes = sizeof(shapes) / sizeof(*shapes);
