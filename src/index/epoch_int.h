/* Epochs: when is what a search could see out of everyone's sight? */
#ifndef VECTRON_INDEX_EPOCH_INT_H
#define VECTRON_INDEX_EPOCH_INT_H

#include "index/index.h"

#include <stdatomic.h>

enum {
    READERS_MAX = 128, /* Searches, and one advance or save, at one time; more wait. */
    EPOCH_PLACE_BYTES = 64,
};

struct reader_place {
    _Atomic uint64_t epoch; /* 0: nobody. */
    uint8_t unused[EPOCH_PLACE_BYTES - sizeof(uint64_t)];
};

struct epochs {
    _Atomic uint64_t now;
    _Atomic bool is_closed;
    unsigned n_places; /* Twice as many as threads can run, and some; who comes later waits. */
    struct reader_place *places;
};

bool epochs_init(struct epochs *e) WARN_UNUSED;
void epochs_fini(struct epochs *e);
/* Until epoch_leave nothing that a reader can reach is used again and no region moves. */
unsigned epoch_enter(struct epochs *e, unsigned place_hint);
void epoch_leave(struct epochs *e, unsigned place);
/* What was taken out of reach before the call is marked with the result. */
uint64_t epoch_mark(struct epochs *e);
bool epoch_is_over(const struct epochs *e, uint64_t mark);
/* Keeps all readers out between the two. */
void epochs_close(struct epochs *e);
void epochs_open(struct epochs *e);

#endif
