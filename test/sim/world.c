/* A seed's chance, time, digest and tallies.  They stand in memory that the lives of a seed share,
 * so that what a crash drops is the node's state alone. */
#include "test/sim/sim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct world *world;

const char *const fault_kind_names[FAULT_KINDS] = {
    "kill",          "power lost",     "power lost, some written",
    "EIO at a read", "EIO at a write", "EIO at a sync",
    "short write",   "no space",       "slow disk",
    "dead disk",     "no memory",      "no thread",
    "no descriptor", "cancel",         "timeout",
    "abandoned"};

void world_begin(struct world *w, uint64_t seed)
{
    bool is_traced = w->is_traced;
    enum flaw flaw = w->flaw;
    uint64_t switches_max = w->switches_max;
    memset(w, 0, sizeof(*w));
    w->seed = seed;
    w->is_traced = is_traced;
    w->flaw = flaw;
    w->switches_max = switches_max;
    uint64_t state = hash_u64(seed + 1);
    for (int i = 0; i < STREAM_COUNT; i++) {
        w->streams[i] = random_next(&state);
    }
    /* Far from 0, so that no subtraction of a time passes it. */
    w->now_ns = w->started_ns = 1000000000ull * 100000;
    world = w;
}

uint64_t chance(enum stream stream)
{
    return random_next(&world->streams[stream]);
}

uint64_t chance_below(enum stream stream, uint64_t bound)
{
    CHECK(bound > 0);
    return chance(stream) % bound;
}

bool chance_is(enum stream stream, unsigned one_in)
{
    return one_in != 0 && chance_below(stream, one_in) == 0;
}

void world_note(uint64_t event)
{
    world->digest = hash_u64(world->digest ^ event) * 0x9e3779b97f4a7c15u;
}

void world_note_text(const char *text)
{
    world_note(hash_bytes(text, strlen(text), 0));
}

void trace(const char *format, ...)
{
    if (world->is_traced) {
        char line[1024];
        va_list arguments;
        va_start(arguments, format);
        int n =
            snprintf(line, sizeof(line), "%u %12.6f %08x ", world->life,
                     (double)(world->now_ns - world->started_ns) / 1e9, (unsigned)world->digest);
        (void)vsnprintf(line + n, sizeof(line) - (size_t)n, format, arguments);
        va_end(arguments);
        fprintf(stderr, "%s\n", line);
    }
}

void sim_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->failure, sizeof(world->failure), format, arguments);
    va_end(arguments);
    trace("FAILED: %s", world->failure);
    _exit(LIFE_FAILED);
}
