/* Ours, as a row of the index benchmark: src/index alone, without a server. */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STAGE_ROWS = 1024,
    PATH_BYTES = 4096,
    AUTO = -1, /* Variants; else an enum index_code.  Exact vectors lie in a mapped file but: */
    AUTO_RESIDENT = -2
};

static enum distance distance_of(enum metric metric)
{
    return metric == METRIC_COSINE ? DISTANCE_COSINE
           : metric == METRIC_L2   ? DISTANCE_L2
                                   : DISTANCE_DOT;
}

struct ours {
    struct index *index;
    uint32_t ef;
    struct index_storage storage;
    char vectors[PATH_BYTES]; /* "": there is no file of exact vectors. */
};

/* As the policy quantization = auto has it. */
static enum index_code code_for(uint32_t dim)
{
    return dim <= 32 ? INDEX_CODE_F32 : dim <= 64 ? INDEX_CODE_8 : INDEX_CODE_4;
}

/* @vectors: the path of the file of exact vectors, where the library has one. */
static void *make_at(const struct library *library, const struct set *set, const char *vectors)
{
    struct err err;
    struct ours *ours = calloc(1, sizeof(*ours));
    struct index_config config = {
        .kind = INDEX_HNSW,
        .distance = distance_of(set->metric),
        .dim = set->dim,
        .m = M,
        .ef_construction = EF_CONSTRUCTION,
        .seed = 1,
        .code = library->variant < 0 ? code_for(set->dim) : (enum index_code)library->variant,
    };
    if (ours == NULL) {
        bench_fail("memory ran out", "calloc");
    }
    if (library->variant != AUTO_RESIDENT && config.code != INDEX_CODE_F32) {
        (void)snprintf(ours->vectors, sizeof(ours->vectors), "%s", vectors);
        ours->storage = mapped_new(vectors);
        config.storage = &ours->storage;
    }
    ours->index = index_new(&config, &err);
    if (ours->index == NULL) {
        bench_fail(err.message, "index_new");
    }
    return ours;
}

static void *make(const struct library *library, const struct set *set)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%d.vectors", bench_directory, library->variant);
    return make_at(library, set, path);
}

static void stage_and_advance(struct index *index, const struct set *set, uint32_t first,
                              uint32_t n)
{
    struct err err;
    uint64_t rows[STAGE_ROWS];
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = first + i;
    }
    size_t n_done;
    struct index_rows staged = {
        .numbers = rows, .vectors = set->rows + (size_t)first * set->dim, .n = n};
    if (index_stage_insert(index, first + 1, &staged, &err) != ERR_OK) {
        bench_fail(err.message, "index_stage_insert");
    }
    while (index_pending(index) > 0) {
        if (index_advance(index, n, NULL, &n_done, &err) != ERR_OK) {
            bench_fail(err.message, "index_advance");
        }
    }
}

static void add(void *made, const struct set *set, uint32_t first, uint32_t n)
{
    struct ours *ours = made;
    for (uint32_t end = first + n; first < end; first += STAGE_ROWS) {
        stage_and_advance(ours->index, set, first,
                          end - first < STAGE_ROWS ? end - first : STAGE_ROWS);
    }
}

static void set_ef(void *made, uint32_t ef)
{
    struct ours *ours = made;
    ours->ef = ef;
}

static uint64_t search(void *made, const float *queries, uint32_t n, uint32_t dim, uint32_t k,
                       uint32_t *rows)
{
    const struct ours *ours = made;
    struct index_work work = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct err err;
        struct index_hit hits[K_MAX];
        struct index_search search = {
            .query = queries + (size_t)i * dim, .k = k, .ef = ours->ef, .plan = INDEX_WALK};
        size_t n_hits = 0;
        if (index_search(ours->index, &search, hits, &n_hits, &work, &err) != ERR_OK) {
            bench_fail(err.message, "index_search");
        }
        for (size_t j = 0; j < k; j++) {
            rows[(size_t)i * k + j] = j < n_hits ? (uint32_t)hits[j].row : UINT32_MAX;
        }
    }
    return work.distances;
}

static enum errcode write_file(void *arg, const void *data, size_t bytes, struct err *err)
{
    return fwrite(data, 1, bytes, arg) == bytes
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "the file is too short");
}

static enum errcode read_file(void *arg, void *data, size_t bytes, struct err *err)
{
    return fread(data, 1, bytes, arg) == bytes ? ERR_OK
                                               : err_set(err, ERR_CORRUPT, "the file is too short");
}

static void save(void *made, const char *path)
{
    struct ours *ours = made;
    struct err err;
    uint32_t digest;
    FILE *file = fopen(path, "wb");
    if (file == NULL || index_save(ours->index, write_file, file, &digest, &err) != ERR_OK ||
        fclose(file) != 0) {
        bench_fail("cannot be written", path);
    }
    char vectors[PATH_BYTES];
    (void)snprintf(vectors, sizeof(vectors), "%s.vectors", path);
    if (ours->vectors[0] != '\0' && link(ours->vectors, vectors) != 0) {
        bench_fail("cannot be linked", vectors);
    }
}

static void *open(const struct library *library, const struct set *set, const char *path)
{
    struct err err;
    char vectors[PATH_BYTES];
    (void)snprintf(vectors, sizeof(vectors), "%s.vectors", path);
    struct ours *ours = make_at(library, set, vectors);
    FILE *file = fopen(path, "rb");
    struct index_source source = {.read = read_file, .arg = file};
    uint32_t digest;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        bench_fail("cannot be read", path);
    }
    source.bytes = (uint64_t)ftell(file);
    rewind(file);
    if (index_load(ours->index, &source, NULL, &digest, &err) != ERR_OK) {
        bench_fail(err.message, path);
    }
    fclose(file);
    return ours;
}

static void release(void *made)
{
    struct ours *ours = made;
    index_free(ours->index);
    free(ours);
}

#define LIBRARY(symbol, text, code)                                                                \
    const struct library symbol = {.name = (text),                                                 \
                                   .variant = (code),                                              \
                                   .make = make,                                                   \
                                   .add = add,                                                     \
                                   .set_ef = set_ef,                                               \
                                   .search = search,                                               \
                                   .save = save,                                                   \
                                   .open = open,                                                   \
                                   .free = release}
LIBRARY(library_vectrond, "vectrond", AUTO);
LIBRARY(library_vectrond_resident, "vectrond resident", AUTO_RESIDENT);
LIBRARY(library_vectrond_8, "vectrond 8 bits", INDEX_CODE_8);
LIBRARY(library_vectrond_f32, "vectrond f32", INDEX_CODE_F32);
