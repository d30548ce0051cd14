/* Declared state machines: a drawing, an enum, a table of moves, and one function that moves. */
#ifndef VECTRON_BASE_STATE_H
#define VECTRON_BASE_STATE_H

#include "base/check.h"

enum {
    STATES_MAX = 32
};
#define STATE_BIT(state) (UINT32_C(1) << (state))

struct state_machine {
    const char *name; /* In the log: "session", "copy". */
    const char *const *names;
    uint8_t n_states;
    const uint32_t *moves; /* Of each state: the STATE_BITs of those that may follow it. */
};

/* Moves *state to @to, which must be a move of the machine (CHECK), and logs one debug line
 * "machine: old -> new (why) id=…".  @why is fixed text. */
void state_move(const struct state_machine *machine, uint8_t *state, uint8_t to, uint64_t id,
                const char *why);
bool state_can_move(const struct state_machine *machine, uint8_t from, uint8_t to);

#endif
