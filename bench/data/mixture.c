/* Sets of vectors from a seed: the same bytes on every machine.
 *
 *     mixture NAME BASE.fbin QUERY.fbin       NAME: mixture128 or sentences512
 *
 * Real vectors fill few of their dimensions and lie in clumps of very different sizes.  So do
 * these: a point of a mixture of Gaussians in a space of few dimensions, whose clumps' sizes fall
 * as 1 / rank, whose centres lie in clumps themselves, and some of whose points stray far, goes
 * through one layer of a random network (max(0, .)) and a linear map into the space of the set, and
 * a little noise is added. Queries are drawn as rows are, behind them: none is a row.
 *
 *   mixture128     1,000,000 rows, 10,000 queries; not below 0, as SIFT's: for L2
 *   sentences512      60,000 rows, 10,000 queries; for cosine, as embeddings of sentences are
 *
 * Plain C with nothing of the project in it.  Only +, -, *, / and sqrt are used, in an order that
 * the source gives (compile with -ffp-contract=off), so no library or machine changes a bit.
 * .fbin: u32 rows, u32 dimension, then the rows as f32, little-endian as this machine is. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LATENT_MAX = 64,
    HIDDEN_MAX = 512,
    DIM_MAX = 512,
    FAMILY = 16 /* Clumps whose centres lie together. */
};

struct kind {
    const char *name;
    uint32_t n_rows, n_queries, dim, latent, hidden, n_clumps;
    float spread; /* Of a clump, where the centres' is 1: a row's is 0.4 to 2.2 times that. */
    float noise;  /* Of a component, where a component's own spread is about 1. */
    bool is_non_negative;
    uint64_t seed;
};

static const struct kind kinds[] = {
    {"mixture128", 1000000, 10000, 128, 32, 256, 2000, 0.8f, 0.1f, true, 128},
    {"sentences512", 60000, 10000, 512, 48, 512, 1000, 0.7f, 0.2f, false, 512},
};

struct mixture {
    const struct kind *kind;
    float *centres;   /* n_clumps x latent */
    double *up_to;    /* The share of the rows in clumps 0 .. i. */
    float *in, *bias; /* latent x hidden; hidden */
    float *out;       /* hidden x dim */
};

_Noreturn static void die(const char *what, const char *name)
{
    fprintf(stderr, "mixture: %s: %s\n", what, name);
    exit(1);
}

static void *take(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL) {
        die("no memory", "mixture");
    }
    return p;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Near enough a normal deviate: the sum of four uniform ones, of variance 1. */
static float normal(uint64_t *state)
{
    uint64_t x = next(state);
    double sum = (double)(x & 0xffff) + (double)(x >> 16 & 0xffff) + (double)(x >> 32 & 0xffff) +
                 (double)(x >> 48);
    return (float)((sum / 65536 - 2) * 1.7320508075688772);
}

static float *normals(uint64_t *state, size_t n, float scale)
{
    float *x = take(n, sizeof *x);
    for (size_t i = 0; i < n; i++) {
        x[i] = normal(state) * scale;
    }
    return x;
}

static struct mixture make_mixture(const struct kind *kind)
{
    uint64_t state = kind->seed;
    uint32_t latent = kind->latent, hidden = kind->hidden;
    struct mixture m = {.kind = kind};
    m.centres = normals(&state, (size_t)kind->n_clumps * latent, 1);
    for (uint32_t c = 0; c < kind->n_clumps; c++) { /* The first of a family is its middle. */
        for (uint32_t i = 0; i < latent && c % FAMILY != 0; i++) {
            float middle = m.centres[(size_t)(c - c % FAMILY) * latent + i];
            m.centres[(size_t)c * latent + i] =
                middle * 0.8f + m.centres[(size_t)c * latent + i] * 0.6f;
        }
    }
    m.up_to = take(kind->n_clumps, sizeof *m.up_to);
    double sum = 0;
    for (uint32_t c = 0; c < kind->n_clumps; c++) {
        sum += 1 / (c + 20.0);
        m.up_to[c] = sum;
    }
    for (uint32_t c = 0; c < kind->n_clumps; c++) {
        m.up_to[c] /= sum;
    }
    m.in = normals(&state, (size_t)latent * hidden, (float)(1 / sqrt(latent)));
    m.bias = normals(&state, hidden, 0.5f);
    m.out = normals(&state, (size_t)hidden * kind->dim, (float)(1 / sqrt(hidden)));
    return m;
}

static uint32_t choose_clump(const struct mixture *m, uint64_t *state)
{
    double x = (double)(next(state) >> 11) / 9007199254740992.0;
    uint32_t low = 0, high = m->kind->n_clumps - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->up_to[middle] < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* y += x * matrix, a row of the matrix at a time. */
static void multiply(const float *x, uint32_t n, const float *matrix, float *restrict y, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *restrict row = matrix + (size_t)i * m;
        for (uint32_t j = 0; j < m; j++) {
            y[j] += x[i] * row[j];
        }
    }
}

static void draw(const struct mixture *m, uint64_t number, float *x)
{
    const struct kind *kind = m->kind;
    uint64_t state = kind->seed * 1000003 + number * 2654435761u;
    float share = (float)(next(&state) >> 40) / 16777216;
    const float *centre = m->centres + (size_t)choose_clump(m, &state) * kind->latent;
    float z[LATENT_MAX], h[HIDDEN_MAX];
    float spread = kind->spread * (0.4f + 1.8f * share * share);
    for (uint32_t i = 0; i < kind->latent; i++) {
        z[i] = centre[i] + normal(&state) * spread;
    }
    memcpy(h, m->bias, kind->hidden * sizeof *h);
    multiply(z, kind->latent, m->in, h, kind->hidden);
    for (uint32_t i = 0; i < kind->hidden; i++) {
        h[i] = h[i] > 0 ? h[i] : 0;
    }
    for (uint32_t i = 0; i < kind->dim; i++) {
        x[i] = normal(&state) * kind->noise;
    }
    multiply(h, kind->hidden, m->out, x, kind->dim);
    for (uint32_t i = 0; i < kind->dim && kind->is_non_negative; i++) {
        x[i] = x[i] > -0.5f ? (x[i] + 0.5f) * 64 : 0;
    }
}

static void write_rows(const struct mixture *m, const char *name, uint64_t first, uint32_t n)
{
    FILE *file = fopen(name, "wb");
    uint32_t header[2] = {n, m->kind->dim};
    bool is_good = file != NULL && fwrite(header, sizeof header, 1, file) == 1;
    for (uint32_t i = 0; is_good && i < n; i++) {
        float x[DIM_MAX];
        draw(m, first + i, x);
        is_good = fwrite(x, sizeof *x, m->kind->dim, file) == m->kind->dim;
    }
    if (!is_good || fclose(file) != 0) {
        die("cannot write", name);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        die("usage", "mixture NAME BASE.fbin QUERY.fbin");
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, argv[1]) == 0) {
            struct mixture m = make_mixture(&kinds[i]);
            write_rows(&m, argv[2], 0, kinds[i].n_rows);
            write_rows(&m, argv[3], kinds[i].n_rows, kinds[i].n_queries);
            free(m.centres);
            free(m.up_to);
            free(m.in);
            free(m.bias);
            free(m.out);
            return 0;
        }
    }
    die("no set of this name", argv[1]);
}
