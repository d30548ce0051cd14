/* EXPLAIN: what a statement's start has chosen, the policies in force with their origins, and after
 * ANALYZE what running it took.
 *
 * The statement explained runs its own start, and under ANALYZE its own steps, with the rows thrown
 * away; then its lines are shown as "key: value" rows or as one JSON object. */
#include "query/explain_int.h"
#include "query/portal_int.h"
#include "query/verb_int.h"

#include "plan/plan.h"

#include <string.h>

/* ---- policies ---- */

/* An early acknowledgement that shard_submit raises, because nobody knows the outcome before. */
static bool is_raised(const struct portal *p, enum policy_id id, const struct policy_value *value)
{
    const struct verb *verb = p->plan_verb;
    return id == POLICY_ack && value->integer < ACK_VISIBLE && verb->op != NULL &&
           shard_op_depends_on_rows(verb->op(p->plan));
}

static void explain_policy(struct explain *out, const struct policy_view *view, enum policy_id id)
{
    static const char why[] = "the outcome depends on the rows";
    const struct policy_row *row = policy_row(id);
    enum policy_level origin;
    struct policy_value value = policy_get(view, id, &origin);
    bool raised = is_raised(out->portal, id, &value);
    char text[POLICY_TEXT_BYTES];
    const char *shown = policy_format(text, id, &value);
    bool has_unit = row->unit != NULL && !value.is_auto;
    if (!out->is_json && raised) {
        explain_text(out, row->name, "%s (%s), raised to %s: %s", shown, policy_level_name(origin),
                     row->choices[ACK_VISIBLE], why);
    } else if (!out->is_json) {
        explain_text(out, row->name, "%s%s%s (%s)", shown, has_unit ? " " : "",
                     has_unit ? row->unit : "", policy_level_name(origin));
    } else {
        explain_begin_member(out, row->name);
        buf_bytes(&out->text, "{\"value\": ", 10);
        explain_string(&out->text, shown);
        buf_bytes(&out->text, ", \"origin\": ", 12);
        explain_string(&out->text, policy_level_name(origin));
        if (raised) {
            buf_printf(&out->text, ", \"raised_to\": \"%s\", \"why\": \"%s\"",
                       row->choices[ACK_VISIBLE], why);
        }
        buf_u8(&out->text, '}');
    }
}

static void explain_policies(struct explain *out)
{
    struct portal *p = out->portal;
    struct policy_view view;
    portal_policy_view(p, &view);
    explain_begin_group(out, "Policies");
    for (int i = 0; i < POLICY_COUNT; i++) {
        bool is_asked = (p->plan->policies >> i & 1) != 0;
        if (is_asked || (i == POLICY_limit_max && p->plan_verb == &verb_search)) {
            explain_policy(out, &view, (enum policy_id)i);
        }
    }
    explain_end_group(out);
}

/* ---- the verb ---- */

static enum errcode start_explain(struct portal *p, struct err *err)
{
    const struct verb *verb = p->plan_verb;
    enum errcode code = verb->start != NULL ? verb->start(p, err) : ERR_OK;
    if (!p->plan->is_analyze) {
        p->is_heavy = false;
    }
    p->batch.n_columns = p->plan->n_output_columns;
    /* A step on the pool must not look at what the owner may change. */
    p->set = arena_copy(p->arena, p->set, sizeof(*p->set));
    return code == ERR_OK && p->set == NULL ? portal_no_memory(p, err) : code;
}

static enum errcode emit_lines(struct portal *p, struct buf *text, struct err *err)
{
    const char *line = (const char *)text->data, *end = line + text->bytes;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        CHECK(newline != NULL);
        struct value value = value_text(line, (size_t)(newline - line));
        enum errcode code = portal_emit(p, &value, err);
        if (code != ERR_OK) {
            return code;
        }
        line = newline + 1;
    }
    return ERR_OK;
}

static enum errcode emit_plan(struct portal *p, struct err *err)
{
    struct explain out = {.portal = p, .is_json = p->plan->is_json};
    buf_init(&out.text, MEM_STATEMENT, 1 << 20);
    if (out.is_json) {
        buf_u8(&out.text, '{');
    }
    explain_text(&out, "Statement", "%s", stmt_name(p->plan->stmt->kind));
    p->plan_verb->explain(p, &out);
    if (p->plan->is_analyze) {
        explain_number(&out, "Rows given", (double)p->analyzed_rows);
        explain_number(&out, "Milliseconds", (double)(clock_micros() - p->started_us) / 1000);
    }
    explain_policies(&out);
    enum errcode code = ERR_OK;
    p->batch.n_columns = 1;
    if (out.is_json) {
        buf_u8(&out.text, '}');
        struct value value = value_text((const char *)out.text.data, out.text.bytes);
        value.type = TYPE_JSON;
        code = out.text.failed ? ERR_OK : portal_emit(p, &value, err);
    } else if (!out.text.failed) {
        code = emit_lines(p, &out.text, err);
    }
    if (out.text.failed) {
        code = portal_no_memory(p, err);
    }
    buf_fini(&out.text);
    return code;
}

static enum step step_explain(struct portal *p, struct err *err)
{
    if (p->plan->is_analyze) {
        enum step step = p->plan_verb->step(p, err);
        p->analyzed_rows += p->batch.n_rows;
        p->batch = (struct batch){.n_columns = p->batch.n_columns};
        if (step != STEP_DONE) {
            return step;
        }
        p->analyzed_rows += p->rows; /* A write's. */
    }
    p->rows = 0;
    return emit_plan(p, err) == ERR_OK ? STEP_DONE : STEP_FAILED;
}

static void end_explain(struct portal *p)
{
    const struct verb *verb = p->plan_verb;
    if (verb->end != NULL) {
        verb->end(p);
    }
}

const struct verb verb_explain = {
    .start = start_explain,
    .step = step_explain,
    .end = end_explain,
};
