/* faiss: IndexHNSWFlat, and IndexHNSWSQ with 8 bits a component, as Debian compiled them.  Its
 * arrays are reserved before they are filled, so that they lie on huge pages and never move. */
#include "library.h"

#include <faiss/IndexHNSW.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>
#include <vector>

namespace
{

const uint32_t TRAINING_ROWS = 100000;

faiss::MetricType metric_of(const struct set *set)
{
    return set->metric == METRIC_L2 ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT;
}

template <typename T> void reserve(std::vector<T> &v, size_t n)
{
    v.reserve(n);
    bench_huge_pages(v.data(), n * sizeof(T));
}

enum variant {
    FLAT,
    SQ8
};

void *make(const struct library *library, const struct set *set)
{
    faiss::IndexHNSW *made;
    omp_set_num_threads(1);
    if (library->variant == FLAT) {
        made = new faiss::IndexHNSWFlat(int(set->dim), M, metric_of(set));
    } else {
        made = new faiss::IndexHNSWSQ(int(set->dim), faiss::ScalarQuantizer::QT_8bit, M,
                                      metric_of(set));
        made->train(std::min(set->n_rows, TRAINING_ROWS), set->rows);
    }
    made->hnsw.efConstruction = EF_CONSTRUCTION;
    auto *storage = dynamic_cast<faiss::IndexFlatCodes *>(made->storage);
    reserve(storage->codes, set->n_rows * storage->code_size);
    /* 2 M links on layer 0, M on each further one: one row in M has a second, and so on. */
    reserve(made->hnsw.neighbors, set->n_rows * size_t(2 * M) + set->n_rows * 3 / 2);
    made->hnsw.offsets.reserve(set->n_rows + 1);
    made->hnsw.levels.reserve(set->n_rows);
    return made;
}

void add(void *made, const struct set *set, uint32_t first, uint32_t n)
{
    static_cast<faiss::IndexHNSW *>(made)->add(n, set->rows + size_t(first) * set->dim);
}

/* Not by SearchParametersHNSW: faiss 1.7.3 sizes its pool by the field all the same. */
void set_ef(void *made, uint32_t ef)
{
    static_cast<faiss::IndexHNSW *>(made)->hnsw.efSearch = int(ef);
}

/* One call for all queries: a call of its own for each would clear a byte a row each time. */
uint64_t search(void *made, const float *queries, uint32_t n, uint32_t, uint32_t k, uint32_t *rows)
{
    omp_set_num_threads(1); /* It is a setting of the calling thread. */
    std::vector<float> distances(size_t(n) * k);
    std::vector<faiss::Index::idx_t> labels(size_t(n) * k);
    static_cast<faiss::IndexHNSW *>(made)->search(n, queries, k, distances.data(), labels.data());
    std::transform(labels.begin(), labels.end(), rows,
                   [](faiss::Index::idx_t label) { return uint32_t(label); });
    return 0;
}

void save(void *made, const char *path)
{
    faiss::write_index(static_cast<faiss::IndexHNSW *>(made), path);
}

void *open(const struct library *, const struct set *, const char *path)
{
    return dynamic_cast<faiss::IndexHNSW *>(faiss::read_index(path));
}

void settle(void *opened)
{
    auto *made = static_cast<faiss::IndexHNSW *>(opened);
    auto &codes = dynamic_cast<faiss::IndexFlatCodes *>(made->storage)->codes;
    auto &neighbors = made->hnsw.neighbors;
    bench_gather_pages(codes.data(), codes.size());
    bench_gather_pages(neighbors.data(), neighbors.size() * sizeof(neighbors[0]));
}

void release(void *made)
{
    delete static_cast<faiss::IndexHNSW *>(made);
}

} // namespace

const struct library library_faiss_flat = {"faiss HNSWFlat", FLAT, make, add,    set_ef,
                                           search,           save, open, settle, release};
const struct library library_faiss_sq8 = {"faiss HNSWSQ8", SQ8,  make, add,    set_ef,
                                          search,          save, open, settle, release};
