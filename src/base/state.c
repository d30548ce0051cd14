/* The one function that moves a declared state machine. */
#include "base/state.h"

#include "base/log.h"

bool state_can_move(const struct state_machine *machine, uint8_t from, uint8_t to)
{
    CHECK(from < machine->n_states && to < machine->n_states && machine->n_states <= STATES_MAX);
    return (machine->moves[from] & STATE_BIT(to)) != 0;
}

void state_move(const struct state_machine *machine, uint8_t *state, uint8_t to, uint64_t id,
                const char *why)
{
    CHECK(why != NULL);
    CHECK(state_can_move(machine, *state, to));
    if (log_shows(LOG_DEBUG)) {
        log_line(LOG_DEBUG, "%s: %s -> %s (%s) id=%llu", machine->name, machine->names[*state],
                 machine->names[to], why, (unsigned long long)id);
    }
    *state = to;
}
