/* Room in the log: how many bytes of writes may be under way at once, and who waits for some.
 *
 *            submitted, and it does not fit         others' bytes are done with
 *   none ----------------------------------> waiting ------------------------> given
 *    ^                                          |                                |
 *    +------------- left -----------------------+---- left, or submitted again --+
 *
 * Given bytes count as taken, so that small writes that come later cannot keep a large one waiting
 * for ever; for the same reason nobody with a room overtakes one who waits.  Whenever bytes are
 * given back, the first of those who wait are told.  None is forgotten: what is in the way of the
 * first one is under way itself, or given to someone, and both end with bytes that are given back.
 *
 * All of it is guarded by repl.lock. */
#include "repl/repl_int.h"

enum room_state {
    ROOM_NONE,
    ROOM_WAITING,
    ROOM_GIVEN,
};

/* One write may always be under way, however small the bound is. */
static bool fits(const struct repl *r, size_t bytes) REQUIRES(r->lock)
{
    return r->in_memory_bytes == 0 || (bytes <= r->config.in_memory_max &&
                                       r->in_memory_bytes <= r->config.in_memory_max - bytes);
}

static void push(struct repl *r, struct repl_room *room, size_t bytes) REQUIRES(r->lock)
{
    CHECK(room->state == ROOM_NONE);
    room->repl = r;
    room->bytes = bytes;
    room->state = ROOM_WAITING;
    room->next = NULL;
    room->prev = r->room_last;
    if (r->room_last == NULL) {
        r->room_first = room;
    } else {
        r->room_last->next = room;
    }
    r->room_last = room;
}

static void unlink_room(struct repl *r, struct repl_room *room) REQUIRES(r->lock)
{
    if (room->prev == NULL) {
        r->room_first = room->next;
    } else {
        room->prev->next = room->next;
    }
    if (room->next == NULL) {
        r->room_last = room->prev;
    } else {
        room->next->prev = room->prev;
    }
}

/* Tells those at the front for whom there is room now. */
static void tell(struct repl *r) REQUIRES(r->lock)
{
    while (r->room_first != NULL && fits(r, r->room_first->bytes)) {
        struct repl_room *room = r->room_first;
        CHECK(room->repl == r && room->state == ROOM_WAITING);
        unlink_room(r, room);
        room->state = ROOM_GIVEN;
        r->in_memory_bytes += room->bytes;
        room->ready(room);
    }
}

bool room_take(struct repl *r, struct repl_room *room, size_t bytes)
{
    CHECK(bytes > 0);
    if (room != NULL && room->state == ROOM_GIVEN) {
        CHECK(room->repl == r && room->bytes == bytes);
        room->state = ROOM_NONE;
        return true; /* It is counted already. */
    }
    if (room != NULL && room->state == ROOM_WAITING) {
        return false;
    }
    bool is_behind = room != NULL && r->room_first != NULL;
    if (!is_behind && fits(r, bytes)) {
        r->in_memory_bytes += bytes;
        return true;
    }
    if (room != NULL) {
        push(r, room, bytes);
        metric_add(METRIC_log_waits, 1);
    }
    return false;
}

void room_give_back(struct repl *r, size_t bytes)
{
    CHECK(r->in_memory_bytes >= bytes);
    r->in_memory_bytes -= bytes;
    tell(r);
}

void repl_room_leave(struct repl_room *room)
{
    struct repl *r = room->repl;
    if (r == NULL) {
        return; /* It never waited. */
    }
    mutex_lock(&r->lock);
    uint8_t state = room->state;
    room->state = ROOM_NONE;
    if (state == ROOM_WAITING) {
        unlink_room(r, room);
        tell(r); /* The next one may be smaller. */
    } else if (state == ROOM_GIVEN) {
        room_give_back(r, room->bytes);
    }
    mutex_unlock(&r->lock);
}
