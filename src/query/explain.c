/* EXPLAIN: what a statement's start has chosen, the policies in force with their origins, and after
 * ANALYZE what running it took.
 *
 * The statement explained runs its own start, and under ANALYZE its own steps, with the rows thrown
 * away; then its lines are shown as "key: value" rows or as one JSON object. */
#include "query/query_int.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LINE_BYTES_MAX = 64 << 10
};

struct explain {
    struct portal *portal;
    struct buf text; /* Lines or members. */
    bool is_json;
    bool has_member;
    const char *group; /* JSON: the object that is open. */
};

/* ---- lines ---- */

static void begin_member(struct explain *out, const char *key)
{
    if (out->is_json) {
        buf_printf(&out->text, "%s\"%s\": ", out->has_member ? ", " : "", key);
    } else {
        buf_printf(&out->text, "%s%s: ", out->group != NULL ? "  " : "", key);
    }
    out->has_member = true;
}

static void json_string(struct buf *b, const char *text)
{
    buf_u8(b, '"');
    for (const char *c = text; *c != 0; c++) {
        if (*c == '"' || *c == '\\') {
            buf_printf(b, "\\%c", *c);
        } else if ((unsigned char)*c < 0x20) {
            buf_printf(b, "\\u%04x", (unsigned)*c);
        } else {
            buf_u8(b, (uint8_t)*c);
        }
    }
    buf_u8(b, '"');
}

static void end_member(struct explain *out)
{
    if (!out->is_json) {
        buf_u8(&out->text, '\n');
    }
}

void explain_text(struct explain *out, const char *key, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    begin_member(out, key);
    if (out->is_json) {
        json_string(&out->text, value);
    } else {
        buf_bytes(&out->text, value, strlen(value));
    }
    end_member(out);
}

void explain_number(struct explain *out, const char *key, double value)
{
    bool is_whole = fabs(value) < 1e15 && value == floor(value);
    begin_member(out, key);
    buf_printf(&out->text, is_whole ? "%.0f" : "%.4g", value);
    end_member(out);
}

void explain_access(struct explain *out)
{
    struct portal *p = out->portal;
    const struct access *access = &p->plan->access;
    if (p->plan->verb != &verb_search) {
        explain_text(out, "Plan", "%s", access->kind == ACCESS_KEYS ? "by key" : "scan");
    }
    if (access->kind == ACCESS_KEYS) {
        explain_number(out, "Keys", (double)p->evaluator.sets[access->key_set].n);
    }
    if (access->shown != NULL) {
        struct buf shown;
        buf_init(&shown, MEM_STATEMENT, LINE_BYTES_MAX);
        print_expr(&shown, access->shown);
        buf_u8(&shown, 0);
        explain_text(out, "Filter", "%s", shown.failed ? "..." : (const char *)shown.data);
        out->text.failed = out->text.failed || (shown.failed && !shown.is_full);
        buf_fini(&shown);
    }
}

/* ---- policies ---- */

static void begin_group(struct explain *out, const char *name)
{
    if (out->is_json) {
        begin_member(out, name);
        buf_u8(&out->text, '{');
        out->has_member = false;
    } else {
        buf_printf(&out->text, "%s:\n", name);
    }
    out->group = name;
}

static void end_group(struct explain *out)
{
    if (out->is_json) {
        buf_u8(&out->text, '}');
    }
    out->has_member = true;
    out->group = NULL;
}

/* An early acknowledgement that shard_submit raises, because nobody knows the outcome before. */
static bool is_raised(const struct plan *plan, enum policy_id id, const struct policy_value *value)
{
    return id == POLICY_ack && value->integer < ACK_VISIBLE && plan->verb->op != NULL &&
           shard_op_depends_on_rows(plan->verb->op(plan));
}

static void explain_policy(struct explain *out, const struct policy_view *view, enum policy_id id)
{
    static const char why[] = "the outcome depends on the rows";
    const struct policy_row *row = policy_row(id);
    enum policy_level origin;
    struct policy_value value = policy_get(view, id, &origin);
    bool raised = is_raised(out->portal->plan, id, &value);
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
        begin_member(out, row->name);
        buf_bytes(&out->text, "{\"value\": ", 10);
        json_string(&out->text, shown);
        buf_bytes(&out->text, ", \"origin\": ", 12);
        json_string(&out->text, policy_level_name(origin));
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
    begin_group(out, "Policies");
    for (int i = 0; i < POLICY_COUNT; i++) {
        bool is_asked = (p->plan->verb->policies >> i & 1) != 0;
        if (is_asked || (i == POLICY_limit_max && p->plan->verb == &verb_search)) {
            explain_policy(out, &view, (enum policy_id)i);
        }
    }
    end_group(out);
}

/* ---- the verb ---- */

static enum errcode start_explain(struct portal *p, struct err *err)
{
    enum errcode code = p->plan->verb->start != NULL ? p->plan->verb->start(p, err) : ERR_OK;
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
    p->plan->verb->explain(p, &out);
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
        enum step step = p->plan->verb->step(p, err);
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
    if (p->plan->verb->end != NULL) {
        p->plan->verb->end(p);
    }
}

const struct verb verb_explain = {
    .start = start_explain,
    .step = step_explain,
    .end = end_explain,
};
