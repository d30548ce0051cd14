/* The registry of sessions: who is there, what runs in them, and how it is canceled.  SHOW SESSIONS
 * and CANCEL look into it.
 *
 * Lock order: database, session, portal. */
#include "query/database_int.h"
#include "query/portal_int.h"
#include "query/session_int.h"

#include "plan/plan.h"

#include <string.h>

struct query_session *query_session_new(struct database *db, uint64_t id, struct err *err)
{
    CHECK(db != NULL && id > 0);
    struct query_session *session = mem_zalloc(MEM_SESSION, sizeof(*session));
    if (session == NULL) {
        err_no_memory(err);
        return NULL;
    }
    atomic_init(&session->refs, 1);
    atomic_init(&session->is_canceled, false);
    atomic_init(&session->prepared_bytes, 0);
    session->db = db;
    session->id = id;
    session->since_wall_us = clock_wall_micros();
    session->chance = hash_u64(id) ^ clock_micros();
    mutex_init(&session->lock);
    mutex_lock(&db->lock);
    session->next = db->sessions;
    if (db->sessions != NULL) {
        db->sessions->prev = session;
    }
    db->sessions = session;
    mutex_unlock(&db->lock);
    return session;
}

static void unlink_session(struct query_session *session)
{
    struct database *db = session->db;
    mutex_lock(&db->lock);
    CHECK((session->prev == NULL) == (db->sessions == session));
    if (session->prev != NULL) {
        session->prev->next = session->next;
    } else {
        db->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->prev = session->prev;
    }
    mutex_unlock(&db->lock);
}

void query_session_free(struct query_session *session)
{
    if (session == NULL) {
        return;
    }
    unlink_session(session);
    CHECK(session->running == NULL);
    if (session->spare != NULL) {
        portal_dispose(session->spare);
        session->spare = NULL;
    }
    query_session_release(session);
}

void query_session_cancel(struct query_session *session)
{
    mutex_lock(&session->lock);
    if (session->running != NULL || session->is_preparing) {
        atomic_store(&session->is_canceled, true);
    }
    for (struct portal *p = session->running; p != NULL; p = p->next_running) {
        portal_event(p);
    }
    mutex_unlock(&session->lock);
}

void query_session_describe(struct query_session *session, const struct query_session_facts *facts)
{
    CHECK(memchr(facts->user, 0, sizeof(facts->user)) != NULL &&
          memchr(facts->peer, 0, sizeof(facts->peer)) != NULL);
    mutex_lock(&session->lock);
    session->facts = *facts;
    mutex_unlock(&session->lock);
}

void query_session_set_secret(struct query_session *session, uint64_t secret)
{
    CHECK(!role_is_mine(&work_thread));
    mutex_lock(&session->lock);
    session->secret = secret;
    mutex_unlock(&session->lock);
}

bool database_cancel(struct database *db, uint64_t id, uint64_t secret)
{
    bool fits = false;
    mutex_lock(&db->lock);
    for (struct query_session *s = db->sessions; s != NULL && !fits; s = s->next) {
        mutex_lock(&s->lock);
        fits = s->id == id && s->secret == secret;
        mutex_unlock(&s->lock);
        if (fits) {
            query_session_cancel(s);
        }
    }
    mutex_unlock(&db->lock);
    return fits;
}

void query_session_begin(struct query_session *session, struct portal *portal)
{
    const struct plan *plan = portal->plan;
    size_t bytes =
        plan->text_bytes < STATEMENT_SHOWN_BYTES ? plan->text_bytes : STATEMENT_SHOWN_BYTES;
    CHECK_HOT(portal->session == session && plan->text != NULL);
    mutex_lock(&session->lock);
    CHECK(session->running != portal && portal->next_running == NULL);
    if (session->running == NULL) {
        atomic_store(&session->is_canceled, false); /* Else it is for the others too. */
    }
    portal->next_running = session->running;
    session->running = portal;
    if (portal->is_leaf) {
        mutex_unlock(&session->lock);
        return; /* The statement that it is of is shown. */
    }
    session->statements += portal->state == PORTAL_IS_NEW ? 1 : 0;
    session->statement_us = portal->started_us;
    memcpy(session->statement, plan->text, bytes);
    session->statement_bytes = bytes;
    mutex_unlock(&session->lock);
}

void query_session_end(struct query_session *session, struct portal *portal)
{
    CHECK_HOT(portal->session == session);
    mutex_lock(&session->lock);
    struct portal **at = &session->running;
    while (*at != NULL && *at != portal) {
        at = &(*at)->next_running;
    }
    if (*at != NULL) {
        *at = portal->next_running;
        portal->next_running = NULL;
    }
    mutex_unlock(&session->lock);
}
