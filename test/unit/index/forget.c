/* What tests of other rooms take from an index. */
#include "forget.h"
#include "index/graph_int.h"

void forget_starts(struct index *index)
{
    atomic_store(&index->longest.n, 0);
    atomic_store(&index->missed.n, 0);
}
