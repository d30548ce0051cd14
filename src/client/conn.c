/* What a connection is at the moment: its states, its last error, and how it breaks.
 *
 * The states are drawn in client_int.h; link_move and phase_move alone change them.  A connection
 * that breaks lets go of the statements in flight, and whoever waits for one is told. */
#include "client/client_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* ---- states ---- */

void link_move(vc_conn *conn, enum link_state to)
{
    CHECK(conn->link < LINK_COUNT && to < LINK_COUNT);
    static const uint8_t allowed[LINK_COUNT] = {
        [LINK_RESOLVED] = 1 << LINK_CONNECTING | 1 << LINK_STARTING | 1 << LINK_BAD,
        [LINK_CONNECTING] = 1 << LINK_RESOLVED | 1 << LINK_STARTING | 1 << LINK_BAD,
        [LINK_STARTING] = 1 << LINK_OPEN | 1 << LINK_BAD,
        [LINK_OPEN] = 1 << LINK_BAD,
        [LINK_BAD] = 0,
    };
    CHECK((allowed[conn->link] >> to & 1) != 0);
    conn->link = to;
}

void phase_move(vc_conn *conn, enum phase to)
{
    CHECK(conn->phase < PHASE_COUNT && to < PHASE_COUNT);
    static const uint8_t allowed[PHASE_COUNT] = {
        [PHASE_IDLE] = 1 << PHASE_BUSY,
        [PHASE_BUSY] = 1 << PHASE_RESULT | 1 << PHASE_END,
        [PHASE_RESULT] = 1 << PHASE_IDLE | 1 << PHASE_BUSY | 1 << PHASE_END | 1 << PHASE_COPY_IN |
                         1 << PHASE_COPY_OUT | 1 << PHASE_RESULT,
        [PHASE_END] = 1 << PHASE_IDLE | 1 << PHASE_BUSY | 1 << PHASE_RESULT,
        [PHASE_COPY_IN] = 1 << PHASE_BUSY | 1 << PHASE_RESULT,
        [PHASE_COPY_OUT] = 1 << PHASE_BUSY | 1 << PHASE_RESULT,
    };
    CHECK((allowed[conn->phase] >> to & 1) != 0);
    conn->phase = to;
}

/* ---- errors ---- */

bool conn_error(vc_conn *conn, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(conn->error, sizeof(conn->error), format, args);
    va_end(args);
    return false;
}

/* ---- the end ---- */

void conn_close_socket(vc_conn *conn)
{
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
}

void command_pop(vc_conn *conn)
{
    struct command *head = conn->head;
    CHECK(head != NULL);
    CHECK(conn->n_commands > 0 && conn->tail != NULL);
    conn->head = head->next;
    if (conn->head == NULL) {
        conn->tail = NULL;
    }
    if (conn->last_statement == head) {
        conn->last_statement = NULL;
    }
    conn->n_commands--;
    CHECK((conn->head == NULL) == (conn->n_commands == 0));
    mem_free(MEM_GENERAL, head);
}

void command_clear(vc_conn *conn)
{
    while (conn->head != NULL) {
        command_pop(conn);
    }
    conn->is_aborted = false;
}

/* Whoever waits gets this as a result. */
static void tell_broken(vc_conn *conn)
{
    CHECK(conn->link == LINK_BAD);
    vc_result_free(conn->building);
    vc_result_free(conn->result);
    conn->building = NULL;
    conn->result = conn->phase == PHASE_IDLE ? NULL : outcome_of_lost(conn);
    command_clear(conn);
    if (conn->phase == PHASE_IDLE) {
        return;
    }
    conn->after_result = PHASE_END;
    if (conn->result != NULL) {
        phase_move(conn, PHASE_RESULT);
    } else if (conn->phase != PHASE_END) {
        conn->phase = PHASE_END; /* Not even memory to say so: the NULL alone is the error. */
    }
}

bool conn_broken(vc_conn *conn, const char *format, ...)
{
    if (conn->link == LINK_BAD) {
        return false; /* The first cause is the one to tell. */
    }
    va_list args;
    va_start(args, format);
    vsnprintf(conn->error, sizeof(conn->error), format, args);
    va_end(args);
    bool was_open = conn->link == LINK_OPEN;
    link_move(conn, LINK_BAD);
    conn_close_socket(conn);
    if (was_open) {
        tell_broken(conn);
    }
    return false;
}
