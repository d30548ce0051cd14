/* The choice of kernels. */
#include "index/bits_int.h"

#include <string.h>

static const struct kernel *const kernels[] = {
/* The best first. */
#if defined(__x86_64__)
    &kernel_avx512vnni,
    &kernel_avx512,
    &kernel_avx2,
#elif defined(__aarch64__)
    &kernel_neondot,
    &kernel_neon,
#endif
    &kernel_scalar,
};

static const struct kernel *chosen = &kernel_scalar;

bool index_choose_kernel(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        if ((name == NULL || strcmp(name, kernels[i]->name) == 0) && kernels[i]->is_usable()) {
            chosen = kernels[i];
            CHECK(chosen->beam != NULL && chosen->exact != NULL && chosen->bits != NULL);
            return true;
        }
    }
    return false;
}

const char *index_kernel_name(void)
{
    return chosen->name;
}

kernel_fn *kernel_for(enum distance distance)
{
    return distance == DISTANCE_L2 ? chosen->l2 : chosen->dot;
}

const struct beam_fns *beam_fns_chosen(void)
{
    return chosen->beam;
}

const struct exact *exact_chosen(void)
{
    return chosen->exact;
}

const struct bits *bits_chosen(void)
{
    return chosen->bits;
}
