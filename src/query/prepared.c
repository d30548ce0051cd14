/* Prepared statements: a text, and the plan that was made of it.
 *
 * What it is bound to is counted: portals keep theirs while they run, and a prepared statement
 * whose collection was dropped (and perhaps made anew) is bound again when it is run next. */
#include "query/database_int.h"
#include "query/leaf_int.h"
#include "query/prepared_int.h"
#include "query/session_int.h"
#include "query/tree_int.h"
#include "query/verb_int.h"

#include "plan/plan.h"

#include <string.h>

enum {
    FREED_INLINE_BYTES = 64 << 10 /* A larger plan is freed on the pool. */
};

/* Counts what @prepared holds now.  A session could else keep a thousand times what one statement
 * may have. */
static enum errcode count_bytes(struct prepared *prepared, struct err *err)
{
    CHECK(prepared->bound != NULL);
    struct query_session *session = prepared->session;
    size_t bytes = arena_bytes(prepared->bound->plan->arena), before = prepared->bytes;
    prepared->bytes = bytes;
    size_t total = atomic_fetch_add(&session->prepared_bytes, bytes - before) + bytes - before;
    struct policy_value most = {.integer = query_session_policy(session, POLICY_statement_memory)};
    if (total <= (size_t)most.integer || bytes <= before) {
        return ERR_OK;
    }
    char text[POLICY_TEXT_BYTES];
    err_set(err, ERR_OUT_OF_MEMORY,
            "the prepared statements of this session need more memory than statement_memory = %s",
            policy_format(text, POLICY_statement_memory, &most));
    err_hint(err, "Close those that are not needed any more, or raise statement_memory.");
    err_policy(err, "statement_memory");
    return ERR_OUT_OF_MEMORY;
}

/* How long a text may be looked at: it hears of a cancel and of the session's timeout as a portal
 * does. */
struct watch {
    const struct query_session *session;
    uint64_t deadline_us, timeout_us; /* 0: none. */
};

static enum errcode poll_watch(void *arg, struct err *err)
{
    const struct watch *watch = arg;
    return query_session_poll(watch->session, watch->deadline_us, watch->timeout_us, err);
}

static enum errcode analyze(struct query_session *session, const struct statement_text *text,
                            unsigned n_leaves, struct plan **plan, size_t *rest, struct err *err)
{
    struct pd *pd = node_pd(session->db->node);
    struct watch watch = {.session = session,
                          .timeout_us = (uint64_t)query_session_policy(session, POLICY_timeout)};
    watch.deadline_us = watch.timeout_us != 0 ? clock_micros() + watch.timeout_us : 0;
    struct plan_source source = {
        .text = text,
        .map = pd_map_acquire(pd),
        .bytes_max = (size_t)query_session_policy(session, POLICY_statement_memory),
        .n_leaves = n_leaves,
        .poll = poll_watch,
        .arg = &watch,
    };
    enum errcode code = plan_new(&source, plan, rest, err);
    pd_map_release(pd, source.map);
    return code;
}

/* A drop of the plan's collection, or its CREATE, may be under way: the map is ahead of the node.
 */
static enum errcode bind_plan(struct query_session *session, struct binding *bound, struct err *err)
{
    CHECK(bound->plan != NULL && bound->collection == NULL);
    const struct plan *plan = bound->plan;
    bound->verb = verb_of(plan);
    bound->operator_bytes = operators_bytes(plan);
    if (plan->schema == NULL) {
        return ERR_OK;
    }
    bound->collection = collection_acquire(session->db->node, plan->schema->id);
    if (bound->collection == NULL) {
        err_set(err, ERR_UNKNOWN_COLLECTION, "there is no collection \"%s\"", plan->schema->name);
        err_collection(err, plan->schema->name);
        return ERR_UNKNOWN_COLLECTION;
    }
    return ERR_OK;
}

/* *out is NULL where there is no statement. */
static enum errcode bind(struct query_session *session, const struct statement_text *text,
                         unsigned n_leaves, struct binding **out, size_t *rest, struct err *err)
{
    struct plan *plan;
    *out = NULL;
    enum errcode code = analyze(session, text, n_leaves, &plan, rest, err);
    if (code != ERR_OK || plan == NULL) {
        return code;
    }
    struct binding *bound = binding_new(plan);
    if (bound == NULL) {
        return err_no_memory(err);
    }
    bound->n_leaves = n_leaves;
    code = bind_plan(session, bound, err);
    if (code != ERR_OK) {
        binding_release(bound);
        return code;
    }
    *out = bound;
    return ERR_OK;
}

static enum errcode prepare_for(struct query_session *session, const struct statement_text *text,
                                unsigned n_leaves, struct prepared **out, size_t *rest,
                                struct err *err)
{
    CHECK((text->data != NULL || text->bytes == 0) && (text->types != NULL || text->n_types == 0));
    struct binding *bound;
    *out = NULL;
    enum errcode code = bind(session, text, n_leaves, &bound, rest, err);
    if (code != ERR_OK || bound == NULL) {
        return code;
    }
    struct prepared *prepared = mem_zalloc(MEM_SESSION, sizeof(*prepared));
    uint8_t *copy = mem_alloc(MEM_SESSION, text->n_types + 1);
    if (prepared == NULL || copy == NULL) {
        mem_free(MEM_SESSION, prepared);
        mem_free(MEM_SESSION, copy);
        binding_release(bound);
        return err_no_memory(err);
    }
    if (text->n_types > 0) {
        memcpy(copy, text->types, text->n_types);
    }
    *prepared = (struct prepared){
        .session = session, .bound = bound, .types = copy, .n_types = text->n_types};
    code = count_bytes(prepared, err);
    if (code != ERR_OK) {
        prepared_free(prepared);
        return code;
    }
    *out = prepared;
    return ERR_OK;
}

static enum errcode prepare(struct query_session *session, const struct statement_text *text,
                            struct prepared **out, size_t *rest, struct err *err)
{
    return prepare_for(session, text, leaves_elsewhere(session), out, rest, err);
}

static enum errcode prepare_alone(struct query_session *session, const struct statement_text *text,
                                  struct prepared **out, struct err *err)
{
    size_t rest, unused;
    enum errcode code = prepare(session, text, out, &rest, err);
    if (code != ERR_OK || *out == NULL) {
        return code;
    }
    struct statement_text left = {.data = text->data + rest, .bytes = text->bytes - rest};
    while (left.bytes > 0 && strchr(" \n\t\r", *left.data) != NULL) {
        left.data++;
        left.bytes--;
    }
    struct prepared *second = NULL;
    if (left.bytes == 0 ||
        (prepare(session, &left, &second, &unused, err) == ERR_OK && second == NULL)) {
        return ERR_OK;
    }
    prepared_free(second);
    prepared_free(*out);
    *out = NULL;
    err_set(err, ERR_SYNTAX, "a prepared statement cannot hold more than one statement");
    err_hint(err, "Send several statements in one QUERY message.");
    return ERR_SYNTAX;
}

/* A cancel that came before is of another statement. */
static void forget_cancel(struct query_session *session)
{
    atomic_store(&session->is_canceled, false);
}

enum errcode prepared_new(struct query_session *session, const struct statement_text *text,
                          struct prepared **out, size_t *rest, struct err *err)
{
    CHECK(!role_is_mine(&work_thread));
    forget_cancel(session);
    return prepare(session, text, out, rest, err);
}

enum errcode prepared_new_alone(struct query_session *session, const struct statement_text *text,
                                struct prepared **out, struct err *err)
{
    CHECK(!role_is_mine(&work_thread));
    forget_cancel(session);
    return prepare_alone(session, text, out, err);
}

enum errcode prepared_new_whole(struct query_session *session, const struct statement_text *text,
                                struct prepared **out, struct err *err)
{
    size_t rest;
    enum errcode code = prepare_for(session, text, 0, out, &rest, err);
    if (code == ERR_OK) {
        CHECK(*out != NULL && rest == text->bytes);
        (*out)->is_whole = true;
    }
    return code;
}

static void free_now(struct prepared *prepared)
{
    binding_release(prepared->bound);
    mem_free(MEM_SESSION, prepared->types);
    mem_free(MEM_SESSION, prepared);
}

static void run_free(void *arg)
{
    CHECK_ROLE(work_thread);
    struct prepared *prepared = arg;
    struct query_session *session = prepared->session;
    struct database *db = session->db;
    free_now(prepared);
    query_session_release(session);
    database_let_go(db);
}

/* Giving back a large plan takes its time too: on the pool. */
void prepared_free(struct prepared *prepared)
{
    if (prepared == NULL) {
        return;
    }
    struct query_session *session = prepared->session;
    CHECK(atomic_load(&session->prepared_bytes) >= prepared->bytes);
    atomic_fetch_sub(&session->prepared_bytes, prepared->bytes);
    if (prepared->bytes <= FREED_INLINE_BYTES) {
        free_now(prepared);
        return;
    }
    atomic_fetch_add(&session->refs, 1);
    database_hold(session->db);
    prepared->job = (struct job){.run = run_free, .arg = prepared};
    node_submit(session->db->node, &prepared->job);
}

size_t prepared_parameters(const struct prepared *prepared, const uint8_t **types)
{
    *types = prepared->bound->plan->types;
    return prepared->bound->plan->n_types;
}

size_t prepared_columns(const struct prepared *prepared, const struct result_column **columns)
{
    *columns = prepared->bound->plan->columns;
    return prepared->bound->plan->n_columns;
}

enum errcode prepared_refresh(struct query_session *session, struct prepared *prepared,
                              struct err *err)
{
    CHECK_HOT(prepared->session == session);
    const struct binding *bound = prepared->bound;
    unsigned n_leaves = prepared->is_whole ? 0 : leaves_elsewhere(session);
    if (bound->n_leaves == n_leaves &&
        (bound->collection == NULL || !collection_is_dropped(bound->collection))) {
        return ERR_OK;
    }
    size_t rest;
    struct binding *again;
    struct statement_text text = {.data = bound->plan->text,
                                  .bytes = bound->plan->text_bytes,
                                  .types = prepared->types,
                                  .n_types = prepared->n_types};
    enum errcode code = bind(session, &text, n_leaves, &again, &rest, err);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(again != NULL); /* The same text was a statement before. */
    binding_release(prepared->bound);
    prepared->bound = again;
    return count_bytes(prepared, err);
}

/* ---- on the pool ---- */

/* The owner's until it is abandoned; then the job's. */
struct preparing {
    struct query_session *session;
    struct statement_text text;
    struct buf held;
    bool is_alone;
    void (*wake)(void *arg);
    void *arg;
    struct job job;
    struct mutex lock; /* What follows. */
    bool has_ended, is_abandoned;
    struct prepared *prepared;
    size_t rest;
    struct err err;
};

static void free_preparing(struct preparing *p)
{
    CHECK(p->session != NULL);
    query_session_release(p->session);
    buf_fini(&p->held);
    mutex_fini(&p->lock);
    mem_free(MEM_SESSION, p);
}

static void free_abandoned(struct preparing *p)
{
    struct database *db = p->session->db;
    prepared_free(p->prepared);
    free_preparing(p);
    database_let_go(db);
}

static void run_preparing(void *arg)
{
    CHECK_ROLE(work_thread);
    struct preparing *p = arg;
    struct prepared *prepared = NULL;
    struct err err;
    size_t rest = p->text.bytes;
    err.code = p->is_alone ? prepare_alone(p->session, &p->text, &prepared, &err)
                           : prepare(p->session, &p->text, &prepared, &rest, &err);
    mutex_lock(&p->lock);
    CHECK(!p->has_ended);
    p->prepared = prepared;
    p->rest = rest;
    p->err = err;
    p->has_ended = true;
    bool is_abandoned = p->is_abandoned;
    if (!is_abandoned) {
        p->wake(p->arg);
    }
    mutex_unlock(&p->lock);
    if (is_abandoned) {
        free_abandoned(p);
    }
}

struct preparing *preparing_begin(struct query_session *session, const struct statement_text *text,
                                  bool is_alone, struct buf *held, struct err *err)
{
    CHECK(text->data != NULL && held != NULL);
    struct preparing *p = mem_zalloc(MEM_SESSION, sizeof(*p));
    if (p == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    atomic_fetch_add(&session->refs, 1);
    *p = (struct preparing){.session = session, .text = *text, .held = *held, .is_alone = is_alone};
    buf_init(held, MEM_SESSION, SIZE_MAX);
    mutex_init(&p->lock);
    return p;
}

void preparing_start(struct preparing *p, void (*ended)(void *arg), void *arg)
{
    CHECK(ended != NULL);
    CHECK(p->wake == NULL && !p->has_ended);
    p->wake = ended;
    p->arg = arg;
    mutex_lock(&p->session->lock);
    CHECK(!p->session->is_preparing);
    atomic_store(&p->session->is_canceled, false);
    p->session->is_preparing = true;
    mutex_unlock(&p->session->lock);
    p->job = (struct job){.run = run_preparing, .arg = p};
    node_submit(p->session->db->node, &p->job);
}

bool preparing_has_ended(struct preparing *p)
{
    mutex_lock(&p->lock);
    bool has_ended = p->has_ended;
    mutex_unlock(&p->lock);
    return has_ended;
}

enum errcode preparing_end(struct preparing *p, struct prepared **out, size_t *rest,
                           struct buf *held, struct err *err)
{
    CHECK(preparing_has_ended(p));
    CHECK(!p->is_abandoned);
    mutex_lock(&p->session->lock);
    p->session->is_preparing = false;
    mutex_unlock(&p->session->lock);
    enum errcode code = p->err.code;
    *out = p->prepared;
    *rest = p->rest;
    *err = p->err;
    *held = p->held;
    buf_init(&p->held, MEM_SESSION, SIZE_MAX);
    free_preparing(p);
    return code;
}

void preparing_abandon(struct preparing *p)
{
    database_hold(p->session->db);
    query_session_cancel(p->session);
    mutex_lock(&p->lock);
    CHECK(!p->is_abandoned);
    p->is_abandoned = true;
    bool has_ended = p->has_ended;
    mutex_unlock(&p->lock);
    if (has_ended) {
        free_abandoned(p);
    }
}
