/* Epochs: when is nobody looking any more?
 *
 * A reader takes a place and writes the epoch there that it read before; so an occupied place never
 * shows a later epoch than the one its reader began in.  The writer takes something out of reach,
 * then raises the epoch and remembers the old one as a mark: the thing may be used again when no
 * place holds an epoch up to the mark.
 *
 * Proof that a reader which the writer overlooked cannot reach the thing: all operations on places,
 * on `now` and on `is_closed` are sequentially consistent.  If epoch_is_over read the place before
 * the reader took it, then epoch_mark came before that in the single order, and the reader's second
 * read of `now` comes after; that read sees epoch_mark's increment or a later one, so what was
 * taken out of reach before the increment happens before everything that the reader does next.
 * Closing is Dekker's handshake over the place and `is_closed`: one of both sees the other. */
#include "index/epoch_int.h"

enum {
    READERS_MORE = 16 /* Of threads that cannot all run. */
};

bool epochs_init(struct epochs *e)
{
    unsigned n = 2 * thread_cores() + READERS_MORE;
    CHECK(n > 0);
    atomic_init(&e->now, 1);
    atomic_init(&e->is_closed, false);
    e->n_places = n < READERS_MAX ? n : READERS_MAX;
    e->places = mem_zalloc(MEM_GRAPH, e->n_places * sizeof(*e->places));
    return e->places != NULL;
}

void epochs_fini(struct epochs *e)
{
    CHECK(e->places == NULL || epoch_is_over(e, UINT64_MAX));
    mem_free(MEM_GRAPH, e->places);
    e->places = NULL;
}

unsigned epoch_enter(struct epochs *e, unsigned place_hint)
{
    CHECK_HOT(e->n_places > 0);
    for (unsigned place = place_hint % e->n_places;; place = (place + 1) % e->n_places) {
        uint64_t nobody = 0, now = atomic_load(&e->now);
        if (!atomic_load(&e->is_closed) &&
            atomic_compare_exchange_strong(&e->places[place].epoch, &nobody, now)) {
            now = atomic_load(&e->now);
            CHECK(now > 0);
            if (!atomic_load(&e->is_closed)) {
                return place;
            }
            atomic_store(&e->places[place].epoch, 0);
        }
        if (atomic_load(&e->is_closed) || (place + 1) % e->n_places == place_hint % e->n_places) {
            thread_yield();
        }
    }
}

void epoch_leave(struct epochs *e, unsigned place)
{
    CHECK(place < e->n_places);
    CHECK(atomic_load_explicit(&e->places[place].epoch, memory_order_relaxed) != 0);
    atomic_store_explicit(&e->places[place].epoch, 0, memory_order_release);
}

uint64_t epoch_mark(struct epochs *e)
{
    return atomic_fetch_add(&e->now, 1);
}

bool epoch_is_over(const struct epochs *e, uint64_t mark)
{
    for (size_t i = 0; i < e->n_places; i++) {
        uint64_t epoch = atomic_load(&e->places[i].epoch);
        if (epoch != 0 && epoch <= mark) {
            return false;
        }
    }
    return true;
}

void epochs_close(struct epochs *e)
{
    CHECK(!atomic_load(&e->is_closed));
    atomic_store(&e->is_closed, true);
    while (!epoch_is_over(e, UINT64_MAX)) {
        thread_yield();
    }
}

void epochs_open(struct epochs *e)
{
    CHECK(atomic_load(&e->is_closed));
    atomic_store(&e->is_closed, false);
}
