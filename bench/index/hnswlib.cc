/* hnswlib, with its one large block of memory on huge pages, as ours is. */
#include "library.h"

#include <hnswlib/hnswlib.h>

#include <memory>

namespace
{

struct index {
    std::unique_ptr<hnswlib::SpaceInterface<float>> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
};

std::unique_ptr<hnswlib::SpaceInterface<float>> make_space(const struct set *set)
{
    if (set->metric == METRIC_L2) {
        return std::make_unique<hnswlib::L2Space>(set->dim);
    }
    return std::make_unique<hnswlib::InnerProductSpace>(set->dim);
}

void *make(const struct library *, const struct set *set)
{
    auto *made = new index{make_space(set), nullptr};
    made->graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(made->space.get(), set->n_rows,
                                                                    M, EF_CONSTRUCTION, 1);
    bench_huge_pages(made->graph->data_level0_memory_,
                     set->n_rows * made->graph->size_data_per_element_);
    return made;
}

void add(void *made, const struct set *set, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        static_cast<index *>(made)->graph->addPoint(set->rows + size_t(i) * set->dim, i);
    }
}

void set_ef(void *made, uint32_t ef)
{
    static_cast<index *>(made)->graph->setEf(ef);
}

uint64_t search(void *made, const float *queries, uint32_t n, uint32_t dim, uint32_t k,
                uint32_t *rows)
{
    const auto &graph = static_cast<index *>(made)->graph;
    for (uint32_t i = 0; i < n; i++) {
        auto found = graph->searchKnn(queries + size_t(i) * dim, k);
        for (uint32_t j = 0; j < k; j++) {
            rows[size_t(i) * k + j] = UINT32_MAX;
        }
        for (uint32_t j = 0; !found.empty(); found.pop()) {
            rows[size_t(i) * k + j++] = uint32_t(found.top().second);
        }
    }
    return 0;
}

void save(void *made, const char *path)
{
    static_cast<index *>(made)->graph->saveIndex(path);
}

void *open(const struct library *, const struct set *set, const char *path)
{
    auto *made = new index{make_space(set), nullptr};
    made->graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(made->space.get(), path);
    return made;
}

void settle(void *made)
{
    const auto &graph = static_cast<index *>(made)->graph;
    bench_gather_pages(graph->data_level0_memory_,
                       graph->max_elements_ * graph->size_data_per_element_);
}

void release(void *made)
{
    delete static_cast<index *>(made);
}

} // namespace

const struct library library_hnswlib = {"hnswlib", 0,    make, add,    set_ef,
                                        search,    save, open, settle, release};
