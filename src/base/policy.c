/* Policies: the table, the parsing of values with their units, and the levels.
 *
 * Record of a set: u8 version = 1 | u16 n | n times: str name, u8 auto, str value as text.  Names
 * and texts rather than numbers, so that the table's order is free to change. */
#include "base/policy.h"

#include "base/thread.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    POLICY_SET_VERSION = 1,
    VALUE_TEXT_BYTES_MAX = 256,
    POLICY_NAME_BYTES_MAX = 63
};

#define CHOICES(...)                                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define TEXT_AND_UNIT(text, unit, ...) text, unit /* NULL where a row gives no unit. */
static const struct policy_row rows[POLICY_COUNT] = {
#define POLICY(name, plane, type, def, min, max, choices, scopes, apply, improves, costs, signal,  \
               undo, ...)                                                                          \
    {#name,  plane, type,     def,   min,    max,  choices,                                        \
     scopes, apply, improves, costs, signal, undo, TEXT_AND_UNIT(__VA_ARGS__, NULL, 0)},
#include "base/policies.def"
#undef POLICY
};
#undef TEXT_AND_UNIT
#undef CHOICES

const struct policy_row *policy_row(enum policy_id id)
{
    CHECK(id < POLICY_COUNT);
    return &rows[id];
}

enum policy_id policy_find(const char *name, const char **nearest)
{
    CHECK(name != NULL);
    const char *names[POLICY_COUNT];
    for (int id = 0; id < POLICY_COUNT; id++) {
        names[id] = rows[id].name;
        if (strcasecmp(names[id], name) == 0) {
            return (enum policy_id)id;
        }
    }
    if (nearest != NULL) {
        *nearest = err_nearest(name, names, POLICY_COUNT);
    }
    return POLICY_COUNT;
}

const char *policy_level_name(enum policy_level level)
{
    static const char *const names[LEVEL_COUNT] = {"built-in",   "file",    "command line",
                                                   "collection", "session", "statement"};
    CHECK(level < LEVEL_COUNT);
    return names[level];
}

/* ---- text to value ---- */

struct unit {
    const char *name;
    double factor;
};

static const struct unit duration_units[] = {
    {"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"min", 6e7}, {"h", 3.6e9}, {"d", 8.64e10}, {"", 1e3},
};

static const struct unit byte_units[] = {
    {"B", 1},
    {"kB", 1024},
    {"KiB", 1024},
    {"MB", 1 << 20},
    {"MiB", 1 << 20},
    {"GB", 1024.0 * (1 << 20)},
    {"GiB", 1024.0 * (1 << 20)},
    {"TB", 1048576.0 * (1 << 20)},
    {"TiB", 1048576.0 * (1 << 20)},
    {"", 1},
};

static bool is_in(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* As people write numbers: strtod would take hexadecimals, names and blanks before them, too, and
 * 010 as ten, which is eight to some. */
static bool begins_a_number(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');
    return is_in("0123456789.", digits[0]) &&
           !(digits[0] == '0' && is_in("0123456789xX", digits[1]));
}

static bool parse_number_with_unit(const char *text, const struct unit *units, size_t n_units,
                                   double *out)
{
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    if (!begins_a_number(text) || end == text || errno != 0 || !isfinite(x)) {
        return false;
    }
    size_t n_blanks = strspn(end, " ");
    end += end[n_blanks] != '\0' ? n_blanks : 0; /* Those of '64 MiB'. */
    for (size_t i = 0; i < n_units; i++) {
        if (strcasecmp(end, units[i].name) == 0) {
            *out = x * units[i].factor;
            return true;
        }
    }
    return false;
}

static bool parse_bool(const char *text, int64_t *out)
{
    static const char *const words[2][4] = {{"off", "false", "no", "0"},
                                            {"on", "true", "yes", "1"}};
    for (int truth = 0; truth < 2; truth++) {
        for (size_t i = 0; i < COUNT_OF(words[0]); i++) {
            if (strcasecmp(text, words[truth][i]) == 0) {
                *out = truth;
                return true;
            }
        }
    }
    return false;
}

static bool parse_choice(const struct policy_row *row, const char *text, int64_t *out)
{
    for (int i = 0; i < POLICY_CHOICES_MAX && row->choices[i] != NULL; i++) {
        if (strcasecmp(text, row->choices[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool parse_policy_number(const struct policy_row *row, const char *text, double *out)
{
    static const struct unit no_unit[] = {{"", 1}};
    switch (row->type) {
    case POLICY_IS_DURATION:
        if (strcasecmp(text, "none") == 0) {
            *out = 0;
            return true;
        }
        return parse_number_with_unit(text, duration_units, COUNT_OF(duration_units), out);
    case POLICY_IS_BYTES:
        return parse_number_with_unit(text, byte_units, COUNT_OF(byte_units), out);
    default:
        return parse_number_with_unit(text, no_unit, COUNT_OF(no_unit), out);
    }
}

/* ---- what is allowed, in words ---- */

/* 1,000,000: a bound is read by people. */
static void put_count(struct buf *b, int64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%lld", (long long)n);
    for (int i = 0; i < length; i++) {
        bool is_group = i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-';
        buf_printf(b, "%s%c", is_group ? "," : "", digits[i]);
    }
}

static void put_bound(struct buf *b, enum policy_id id, double bound)
{
    CHECK(id < POLICY_COUNT);
    char text[POLICY_TEXT_BYTES];
    struct policy_value value = {.integer = (int64_t)bound};
    if (rows[id].type == POLICY_IS_FLOAT) {
        buf_printf(b, "%g", bound);
    } else if (rows[id].type == POLICY_IS_INT) {
        put_count(b, (int64_t)bound);
    } else {
        buf_printf(b, "%s", policy_format(text, id, &value));
    }
}

static bool has_auto(const struct policy_row *row)
{
    return strcmp(row->default_text, "auto") == 0;
}

/* A duration that may be 0, which is written none. */
static bool has_none(const struct policy_row *row)
{
    return row->type == POLICY_IS_DURATION && row->min == 0;
}

/* "@from1 to 64 threads", or "up to 1d". */
static void put_range(struct buf *b, enum policy_id id, const char *from)
{
    const struct policy_row *row = &rows[id];
    if (has_none(row)) {
        buf_printf(b, "up to ");
    } else {
        buf_printf(b, "%s", from);
        put_bound(b, id, row->min);
        buf_printf(b, " to ");
    }
    put_bound(b, id, row->max);
    buf_printf(b, "%s%s", row->unit != NULL ? " " : "", row->unit != NULL ? row->unit : "");
}

static void put_choices(struct buf *b, const struct policy_row *row)
{
    const char *joint = "";
    if (has_auto(row)) {
        buf_printf(b, "auto");
        joint = ", ";
    }
    for (int i = 0; i < POLICY_CHOICES_MAX && row->choices[i] != NULL; i++) {
        buf_printf(b, "%s%s", joint, row->choices[i]);
        joint = ", ";
    }
}

void policy_allowed(struct buf *b, enum policy_id id)
{
    const struct policy_row *row = policy_row(id);
    switch (row->type) {
    case POLICY_IS_BOOL:
        buf_printf(b, "on or off");
        break;
    case POLICY_IS_INT:
    case POLICY_IS_FLOAT:
    case POLICY_IS_DURATION:
    case POLICY_IS_BYTES:
        buf_printf(b, "%s", has_none(row) ? "none, or " : "");
        buf_printf(b, "%s", has_auto(row) ? "auto, or " : "");
        put_range(b, id, "");
        break;
    case POLICY_IS_CHOICE:
        put_choices(b, row);
        break;
    case POLICY_IS_TEXT:
        buf_printf(b, "a text of at most %d bytes", POLICY_TEXT_BYTES - 1);
        break;
    }
}

static void hint_form(struct err *err, enum policy_id id)
{
    static const char *const kinds[] = {
        [POLICY_IS_INT] = "a whole number ", [POLICY_IS_FLOAT] = "a number ",
        [POLICY_IS_DURATION] = "a time ",    [POLICY_IS_BYTES] = "a size ",
        [POLICY_IS_CHOICE] = "one of ",      [POLICY_IS_TEXT] = NULL,
    };
    const struct policy_row *row = policy_row(id);
    bool is_range = row->type >= POLICY_IS_INT && row->type <= POLICY_IS_BYTES;
    struct buf b;
    buf_init(&b, MEM_GENERAL, ERR_FIELD_BYTES - 1);
    buf_printf(&b, "Write %s", kinds[row->type] != NULL ? kinds[row->type] : "");
    if (is_range) {
        put_range(&b, id, "from ");
    } else {
        policy_allowed(&b, id);
    }
    buf_printf(&b, "%s", row->type == POLICY_IS_DURATION ? ", with us, ms, s, min, h or d" : "");
    buf_printf(&b, "%s", row->type == POLICY_IS_BYTES ? ", with KiB, MiB, GiB or TiB" : "");
    buf_printf(&b, "%s", has_none(row) ? ", or none" : "");
    buf_printf(&b, "%s.", is_range && has_auto(row) ? ", or auto" : "");
    if (!b.failed) {
        err_hint(err, "%.*s", (int)b.bytes, (const char *)b.data);
    }
    buf_fini(&b);
}

/* ---- text to a policy's value ---- */

/* False where the text is not a value of the row's type or out of its bounds. */
static bool parse_policy(const struct policy_row *row, const char *text, struct policy_value *out)
{
    double x;
    memset(out, 0, sizeof(*out));
    if (has_auto(row) && strcasecmp(text, "auto") == 0) {
        out->is_auto = true;
        return true;
    }
    switch (row->type) {
    case POLICY_IS_BOOL:
        return parse_bool(text, &out->integer);
    case POLICY_IS_CHOICE:
        return parse_choice(row, text, &out->integer);
    case POLICY_IS_TEXT:
        return snprintf(out->text, sizeof(out->text), "%s", text) < (int)sizeof(out->text);
    case POLICY_IS_FLOAT:
        if (!parse_policy_number(row, text, &x) || x < row->min || x > row->max) {
            return false;
        }
        out->number = x;
        return true;
    case POLICY_IS_INT:
    case POLICY_IS_DURATION:
    case POLICY_IS_BYTES:
        if (!parse_policy_number(row, text, &x) || x < row->min || x > row->max ||
            (row->type == POLICY_IS_INT && x != floor(x))) {
            return false;
        }
        out->integer = (int64_t)llround(x);
        return true;
    }
    return false;
}

/* ---- sets ---- */

static enum errcode refuse_scope(struct err *err, const struct policy_row *row,
                                 enum policy_level level)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, ERR_FIELD_BYTES - 1);
    const char *joint = "";
    for (int l = LEVEL_FILE; l < LEVEL_COUNT; l++) {
        static const char *const how[LEVEL_COUNT] = {
            "",         "in the configuration file or with --set",
            "",         "in CREATE COLLECTION ... WITH (...)",
            "with SET", "in the statement's WITH (...)"};
        if ((row->scopes & (1u << l)) != 0) {
            buf_printf(&b, "%s%s", joint, how[l]);
            joint = ", or ";
        }
    }
    err_set(err, ERR_POLICY_SCOPE, "policy \"%s\" cannot be set at level %s", row->name,
            policy_level_name(level));
    if (!b.failed) {
        bool is_collections = row->scopes == SCOPE_COLLECTION;
        err_hint(err, "Set it %.*s.%s%s%s", (int)b.bytes, (const char *)b.data,
                 is_collections ? "  To change it: " : "", is_collections ? row->undo : "",
                 is_collections ? "." : "");
    }
    buf_fini(&b);
    err_policy(err, row->name);
    return err->code;
}

static enum errcode refuse_value(struct err *err, enum policy_id id, const struct value *value,
                                 const struct buf *shown)
{
    const char *name = policy_row(id)->name;
    if (value->type == TYPE_NULL) {
        err_set(err, ERR_POLICY_BOUNDS, "policy \"%s\" cannot be NULL", name);
    } else {
        err_set(err, ERR_POLICY_BOUNDS, "policy \"%s\" cannot be \"%s\"", name,
                shown->failed ? "(too long)" : (const char *)shown->data);
    }
    hint_form(err, id);
    err_policy(err, name);
    return ERR_POLICY_BOUNDS;
}

static void set_value(struct policy_set *set, enum policy_id id, const struct policy_value *value,
                      bool is_option)
{
    CHECK(id < POLICY_COUNT);
    uint64_t bit = UINT64_C(1) << id;
    set->values[id] = *value;
    set->is_set |= bit;
    set->is_from_command_line = (set->is_from_command_line & ~bit) | (is_option ? bit : 0);
}

enum errcode policy_assign(struct policy_set *set, enum policy_id id, enum policy_level level,
                           const struct value *value, struct err *err)
{
    CHECK(level > LEVEL_BUILT_IN && level < LEVEL_COUNT);
    CHECK(set != NULL && value != NULL);
    const struct policy_row *row = policy_row(id);
    enum policy_level scope = level == LEVEL_COMMAND_LINE ? LEVEL_FILE : level;
    if ((row->scopes & (1u << scope)) == 0) {
        return refuse_scope(err, row, level);
    }
    if (value_check(value, err) != ERR_OK) {
        err_prefix(err, "policy \"%s\"", row->name);
        err_policy(err, row->name);
        return err->code;
    }
    struct buf b;
    buf_init(&b, MEM_GENERAL, VALUE_TEXT_BYTES_MAX);
    value_format(&b, value);
    buf_u8(&b, 0);
    struct policy_value parsed;
    enum errcode code = ERR_OK;
    if (b.failed && !b.is_full) {
        code = err_no_memory(err);
    } else if (b.failed || value->type == TYPE_NULL || value->type == TYPE_VECTOR ||
               !parse_policy(row, (const char *)b.data, &parsed)) {
        code = refuse_value(err, id, value, &b);
    } else {
        set_value(set, id, &parsed, level == LEVEL_COMMAND_LINE);
    }
    buf_fini(&b);
    return code;
}

enum errcode policy_assign_name(struct policy_set *set, const char *name, enum policy_level level,
                                const struct value *value, struct err *err)
{
    const char *nearest = NULL;
    enum policy_id id = policy_find(name, &nearest);
    if (id == POLICY_COUNT) {
        err_set(err, ERR_UNKNOWN_POLICY, "there is no policy \"%s\"", name);
        if (nearest != NULL) {
            err_hint(err, "Perhaps you meant \"%s\".", nearest);
        } else {
            err_hint(err, "SHOW ALL lists the policies.");
        }
        err_policy(err, name);
        return ERR_UNKNOWN_POLICY;
    }
    return policy_assign(set, id, level, value, err);
}

void policy_clear(struct policy_set *set, enum policy_id id)
{
    CHECK(id < POLICY_COUNT);
    CHECK(id < POLICY_COUNT);
    set->is_set &= ~(UINT64_C(1) << id);
}

void policy_merge(struct policy_set *into, const struct policy_set *from)
{
    for (int id = 0; id < POLICY_COUNT; id++) {
        if ((from->is_set >> id & 1) != 0) {
            policy_copy(into, from, (enum policy_id)id);
        }
    }
}

void policy_copy(struct policy_set *into, const struct policy_set *from, enum policy_id id)
{
    CHECK(id < POLICY_COUNT);
    CHECK(id < POLICY_COUNT);
    if ((from->is_set >> id & 1) != 0) {
        set_value(into, id, &from->values[id], (from->is_from_command_line >> id & 1) != 0);
    } else {
        policy_clear(into, id);
    }
}

/* The built-in level: the table's texts, parsed once. */
static struct policy_value built_in[POLICY_COUNT];
static struct once built_in_once = ONCE_INIT;
static atomic_bool is_built_in_known; /* Asked for each policy of each statement. */

static void parse_built_in(void)
{
    for (int id = 0; id < POLICY_COUNT; id++) {
        CHECK(parse_policy(&rows[id], rows[id].default_text, &built_in[id]));
    }
    atomic_store_explicit(&is_built_in_known, true, memory_order_release);
}

const struct policy_value *policy_look(const struct policy_view *view, enum policy_id id,
                                       enum policy_level *origin)
{
    CHECK_HOT(id < POLICY_COUNT);
#pragma GCC unroll 5
    for (int level = LEVEL_COUNT - 1; level > LEVEL_BUILT_IN; level--) {
        const struct policy_set *set = view->levels[level];
        if (set != NULL && (set->is_set >> id & 1) != 0) {
            if (origin != NULL) {
                bool is_option = (set->is_from_command_line >> id & 1) != 0;
                *origin = is_option ? LEVEL_COMMAND_LINE : (enum policy_level)level;
            }
            return &set->values[id];
        }
    }
    if (origin != NULL) {
        *origin = LEVEL_BUILT_IN;
    }
    if (!atomic_load_explicit(&is_built_in_known, memory_order_acquire)) {
        once_run(&built_in_once, parse_built_in);
    }
    return &built_in[id];
}

struct policy_value policy_get(const struct policy_view *view, enum policy_id id,
                               enum policy_level *origin)
{
    return *policy_look(view, id, origin);
}

int64_t policy_int(const struct policy_view *view, enum policy_id id)
{
    const struct policy_value *value = policy_look(view, id, NULL);
    CHECK(!value->is_auto && rows[id].type != POLICY_IS_FLOAT && rows[id].type != POLICY_IS_TEXT);
    return value->integer;
}

double policy_float(const struct policy_view *view, enum policy_id id)
{
    CHECK(rows[id].type == POLICY_IS_FLOAT);
    return policy_look(view, id, NULL)->number;
}

bool policy_bool(const struct policy_view *view, enum policy_id id)
{
    CHECK(rows[id].type == POLICY_IS_BOOL);
    return policy_look(view, id, NULL)->integer != 0;
}

/* ---- value to text ---- */

/* The largest unit that leaves a whole number. */
static void format_with_unit(char out[POLICY_TEXT_BYTES], int64_t x, const struct unit *units,
                             size_t n_units, const char *smallest)
{
    const struct unit *best = NULL;
    for (size_t i = 0; i < n_units; i++) {
        int64_t factor = (int64_t)units[i].factor;
        bool is_shown = units[i].name[0] != '\0' && x != 0 && x % factor == 0;
        if (is_shown && (best == NULL || factor >= (int64_t)best->factor)) {
            best = &units[i];
        }
    }
    if (best == NULL) {
        snprintf(out, POLICY_TEXT_BYTES, "%lld%s", (long long)x, x == 0 ? "" : smallest);
    } else {
        snprintf(out, POLICY_TEXT_BYTES, "%lld%s", (long long)(x / (int64_t)best->factor),
                 best->name);
    }
}

const char *policy_format(char out[POLICY_TEXT_BYTES], enum policy_id id,
                          const struct policy_value *value)
{
    CHECK(id < POLICY_COUNT && value != NULL);
    const struct policy_row *row = policy_row(id);
    if (value->is_auto) {
        return "auto";
    }
    switch (row->type) {
    case POLICY_IS_BOOL:
        return value->integer != 0 ? "on" : "off";
    case POLICY_IS_INT:
        snprintf(out, POLICY_TEXT_BYTES, "%lld", (long long)value->integer);
        break;
    case POLICY_IS_FLOAT:
        snprintf(out, POLICY_TEXT_BYTES, "%.9g", value->number);
        break;
    case POLICY_IS_DURATION:
        if (value->integer == 0) {
            return "none";
        }
        format_with_unit(out, value->integer, duration_units, COUNT_OF(duration_units), "us");
        break;
    case POLICY_IS_BYTES:
        format_with_unit(out, value->integer, byte_units, COUNT_OF(byte_units), "B");
        break;
    case POLICY_IS_CHOICE:
        return row->choices[value->integer];
    case POLICY_IS_TEXT:
        snprintf(out, POLICY_TEXT_BYTES, "%s", value->text);
        break;
    }
    return out;
}

/* ---- the record ---- */

void policy_set_write(struct buf *b, const struct policy_set *set)
{
    uint16_t n = 0;
    for (int id = 0; id < POLICY_COUNT; id++) {
        n = (uint16_t)(n + (set->is_set >> id & 1));
    }
    buf_u8(b, POLICY_SET_VERSION);
    buf_u16(b, n);
    for (int id = 0; id < POLICY_COUNT; id++) {
        if ((set->is_set >> id & 1) == 0) {
            continue;
        }
        buf_str(b, rows[id].name, strlen(rows[id].name));
        char buffer[POLICY_TEXT_BYTES];
        const char *text = policy_format(buffer, (enum policy_id)id, &set->values[id]);
        buf_str(b, text, strlen(text));
    }
}

static enum errcode read_policy(struct reader *r, struct policy_set *set, struct err *err)
{
    char name[POLICY_NAME_BYTES_MAX + 1], text[VALUE_TEXT_BYTES_MAX + 1];
    uint32_t name_bytes, text_bytes;
    const char *n = reader_str(r, &name_bytes);
    const char *t = reader_str(r, &text_bytes);
    if (r->failed || name_bytes > POLICY_NAME_BYTES_MAX || text_bytes > VALUE_TEXT_BYTES_MAX) {
        return err_set(err, ERR_CORRUPT, "a stored set of policies is damaged");
    }
    memcpy(name, n, name_bytes);
    name[name_bytes] = '\0';
    memcpy(text, t, text_bytes);
    text[text_bytes] = '\0';
    enum policy_id id = policy_find(name, NULL);
    struct policy_value value;
    if (id == POLICY_COUNT || !parse_policy(&rows[id], text, &value)) {
        err_set(err, ERR_FORMAT_UNSUPPORTED,
                "policy \"%s\" = \"%s\" is stored and this server does not know it", name, text);
        err_hint(err, "Use the server's version that wrote it, or a newer one.");
        return ERR_FORMAT_UNSUPPORTED;
    }
    set_value(set, id, &value, false);
    return ERR_OK;
}

enum errcode policy_set_read(struct reader *r, struct policy_set *set, struct err *err)
{
    memset(set, 0, sizeof(*set));
    uint8_t version = reader_u8(r);
    uint16_t n = reader_u16(r);
    if (r->failed || version != POLICY_SET_VERSION) {
        return err_set(err, r->failed ? ERR_CORRUPT : ERR_FORMAT_UNSUPPORTED,
                       "a stored set of policies is damaged or of version %u", version);
    }
    enum errcode code = ERR_OK;
    for (uint16_t i = 0; i < n && code == ERR_OK; i++) {
        code = read_policy(r, set, err);
    }
    return code;
}
