/* The one function that moves a declared state machine. */
#include "base/state.h"

#include "base/log.h"

bool state_can_move(const struct state_machine *machine, uint8_t from, uint8_t to)
{
    CHECK(from < machine->n_states && to < machine->n_states);
    for (size_t i = 0; i < machine->n_edges; i++) {
        if (machine->edges[i].from == from && machine->edges[i].to == to) {
            return true;
        }
    }
    return false;
}

void state_move(const struct state_machine *machine, uint8_t *state, uint8_t to, uint64_t id,
                const char *why)
{
    CHECK(*state < machine->n_states && to < machine->n_states);
    CHECK(state_can_move(machine, *state, to));
    CHECK(why != NULL);
    log_line(LOG_DEBUG, "%s: %s -> %s (%s) id=%llu", machine->name, machine->names[*state],
             machine->names[to], why, (unsigned long long)id);
    *state = to;
}
