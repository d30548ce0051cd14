/* hnswlib behind bench/peer.h, with its one large block of memory on huge pages, as ours is. */
#include "peer.h"

#include <hnswlib/hnswlib.h>
#include <sys/mman.h>

struct peer {
    peer(size_t dim, size_t rows_max, size_t m, size_t ef_construction)
        : space(dim), graph(&space, rows_max, m, ef_construction, 1)
    {
    }
    hnswlib::InnerProductSpace space;
    hnswlib::HierarchicalNSW<float> graph;
};

static void ask_for_huge_pages(char *memory, size_t bytes)
{
    const uintptr_t page = 2 << 20;
    uintptr_t first = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
    if (first < end) {
        madvise(reinterpret_cast<void *>(first), end - first, MADV_HUGEPAGE);
    }
}

struct peer *peer_new(uint32_t dim, size_t rows_max, size_t m, size_t ef_construction)
{
    struct peer *made = new peer(dim, rows_max, m, ef_construction);
    /* Not touched yet, so the kernel can still choose the page size. */
    ask_for_huge_pages(made->graph.data_level0_memory_,
                       rows_max * made->graph.size_data_per_element_);
    return made;
}

void peer_free(struct peer *peer)
{
    delete peer;
}

void peer_add(struct peer *peer, const float *vector, uint64_t row)
{
    peer->graph.addPoint(vector, row);
}

size_t peer_search(struct peer *peer, const float *query, size_t k, size_t ef, uint64_t *rows)
{
    peer->graph.setEf(ef);
    auto found = peer->graph.searchKnn(query, k);
    size_t n = 0;
    for (; !found.empty(); found.pop()) {
        rows[n++] = found.top().second;
    }
    return n;
}
