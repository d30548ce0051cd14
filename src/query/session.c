/* Sessions: what one client has set, and what its statements ask of it.
 *
 * A session belongs to its owner's thread; what others read or write is under its lock.  Its struct
 * lives until its last portal has gone, since a canceled statement may still be on the pool. */
#include "query/database_int.h"
#include "query/session_int.h"

void query_session_release(struct query_session *session)
{
    unsigned before = atomic_fetch_sub(&session->refs, 1);
    CHECK(before > 0);
    if (before == 1) {
        CHECK(session->running == NULL);
        CHECK(session->spare == NULL);
        mutex_fini(&session->lock);
        mem_free(MEM_SESSION, session);
    }
}

int64_t query_session_policy(struct query_session *session, enum policy_id id)
{
    CHECK(id < POLICY_COUNT);
    struct policy_file *file = policy_file_acquire(session->db->node);
    struct policy_view view = {
        .levels = {[LEVEL_FILE] = &file->set, [LEVEL_SESSION] = &session->policies}};
    int64_t value = policy_int(&view, id);
    policy_file_release(file);
    return value;
}

struct policy_set *query_session_policies(struct query_session *session)
{
    CHECK(!role_is_mine(&work_thread)); /* Its owner's. */
    return &session->policies;
}

enum errcode query_session_poll(const struct query_session *session, uint64_t deadline_us,
                                uint64_t timeout_us, struct err *err)
{
    CHECK_HOT(deadline_us == 0 || timeout_us > 0);
    if (atomic_load(&session->is_canceled)) {
        return err_set(err, ERR_CANCELED, "the statement was canceled");
    }
    if (deadline_us != 0 && clock_micros() >= deadline_us) {
        err_set(err, ERR_TIMEOUT, "the statement ran longer than timeout = %g ms",
                (double)timeout_us / 1000);
        err_hint(err, "Raise the policy timeout, or set it to 0 for no bound.");
        err_policy(err, "timeout");
        return ERR_TIMEOUT;
    }
    return ERR_OK;
}
