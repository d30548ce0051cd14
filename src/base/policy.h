/* Policies: every trade that the server makes, named, typed and declared once in policies.def.
 *
 * A policy is set at six levels (built-in < file < command line < collection < session <
 * statement); the highest level that sets it wins, and the origin is kept so that SHOW and EXPLAIN
 * can tell it.  A value that cannot be honoured is refused with an error, never replaced. */
#ifndef VECTRON_BASE_POLICY_H
#define VECTRON_BASE_POLICY_H

#include "base/err.h"
#include "base/value.h"

enum policy_id {
#define POLICY(name, plane, type, def, min, max, choices, scopes, apply, improves, costs, signal,  \
               undo, ...)                                                                          \
    POLICY_##name,
#include "base/policies.def"
#undef POLICY
    POLICY_COUNT
};

enum policy_type {
    POLICY_IS_BOOL,
    POLICY_IS_INT,
    POLICY_IS_FLOAT,
    POLICY_IS_DURATION, /* Microseconds; written '500ms', '2s', none; a bare number is ms. */
    POLICY_IS_BYTES,    /* Written '64MiB', '1GiB', '512KiB'. */
    POLICY_IS_CHOICE,   /* An index into the row's choices. */
    POLICY_IS_TEXT,
};

enum policy_level {
    LEVEL_BUILT_IN,
    LEVEL_FILE,
    LEVEL_COMMAND_LINE, /* In the set of LEVEL_FILE, over what the file says. */
    LEVEL_COLLECTION,
    LEVEL_SESSION,
    LEVEL_STATEMENT,
    LEVEL_COUNT
};

enum { /* Scopes of a row: where it may be set.  Built-in goes without saying. */
    SCOPE_FILE = 1 << LEVEL_FILE,
    SCOPE_COLLECTION = 1 << LEVEL_COLLECTION,
    SCOPE_SESSION = 1 << LEVEL_SESSION,
    SCOPE_STATEMENT = 1 << LEVEL_STATEMENT,
    SCOPE_ALL = SCOPE_FILE | SCOPE_COLLECTION | SCOPE_SESSION | SCOPE_STATEMENT,
    SCOPE_ANY_TIME = SCOPE_FILE | SCOPE_SESSION | SCOPE_STATEMENT,
};

/* When a changed value in the file takes effect: at SIGHUP, or at the next start only.  A SIGHUP
 * that finds a changed restart-only policy says so in the log and in SHOW (pending). */
enum policy_apply {
    APPLY_NOW,
    APPLY_AT_START
};

enum {
    POLICY_TEXT_BYTES = 128,
    POLICY_CHOICES_MAX = 8
};

struct policy_value {
    bool is_auto; /* The server derives it; only where the default is auto. */
    union {
        int64_t integer; /* BOOL, INT, DURATION, BYTES, CHOICE. */
        double number;   /* FLOAT. */
        char text[POLICY_TEXT_BYTES];
    };
};

struct policy_row {
    const char *name, *plane;
    enum policy_type type;
    const char *default_text; /* As one would write it; "auto" where the server derives it. */
    double min, max;
    const char *choices[POLICY_CHOICES_MAX]; /* NULL-terminated; CHOICE only. */
    unsigned scopes;
    enum policy_apply apply;
    const char *improves, *costs, *signal, *undo, *text;
    const char *unit; /* What a number counts, or NULL. */
};

/* What one level sets.  A plain value: copied freely. */
struct policy_set {
    uint64_t is_set;               /* Bit per policy. */
    uint64_t is_from_command_line; /* The same, of those that are set. */
    struct policy_value values[POLICY_COUNT];
};
_Static_assert(POLICY_COUNT <= 64, "policy_set.is_set is one word");
/* Takes @id as @from has it: set, from where, or not set. */
void policy_copy(struct policy_set *into, const struct policy_set *from, enum policy_id id);

/* The levels in force for one statement; NULL where a level sets nothing.  Borrowed. */
struct policy_view {
    const struct policy_set *levels[LEVEL_COUNT]; /* [LEVEL_BUILT_IN] is ignored. */
};

const struct policy_row *policy_row(enum policy_id id);
/* POLICY_COUNT where there is none; *nearest (may be NULL) then helps the hint. */
enum policy_id policy_find(const char *name, const char **nearest);
const char *policy_level_name(enum policy_level level);

/* Checks type, bounds and scope and sets @id in @set.  The value is as VQL or the file gave it: a
 * number, a boolean or a text.  On error @set is as it was. */
enum errcode policy_assign(struct policy_set *set, enum policy_id id, enum policy_level level,
                           const struct value *value, struct err *err) WARN_UNUSED;
/* The same by name, with ERR_UNKNOWN_POLICY and the nearest name in the hint. */
enum errcode policy_assign_name(struct policy_set *set, const char *name, enum policy_level level,
                                const struct value *value, struct err *err) WARN_UNUSED;
void policy_clear(struct policy_set *set, enum policy_id id);
void policy_merge(struct policy_set *into, const struct policy_set *from);

/* The value in force and the level that set it (origin may be NULL); borrowed of the view's sets.
 */
const struct policy_value *policy_look(const struct policy_view *view, enum policy_id id,
                                       enum policy_level *origin);
struct policy_value policy_get(const struct policy_view *view, enum policy_id id,
                               enum policy_level *origin);
int64_t policy_int(const struct policy_view *view, enum policy_id id);
double policy_float(const struct policy_view *view, enum policy_id id);
bool policy_bool(const struct policy_view *view, enum policy_id id);

/* As one would write it: 0.95, on, 500ms, 64MiB, 'sync' without the quotes, auto.  In @out, or a
 * text that is there for good. */
const char *policy_format(char out[POLICY_TEXT_BYTES], enum policy_id id,
                          const struct policy_value *value);

/* What it may be set to, for people: "64KiB to 1TiB", "sync, async". */
void policy_allowed(struct buf *b, enum policy_id id);

void policy_set_write(struct buf *b, const struct policy_set *set);
enum errcode policy_set_read(struct reader *r, struct policy_set *set, struct err *err) WARN_UNUSED;

/* Choices, in the order of their rows in policies.def. */
enum index_kind {
    INDEX_HNSW,
    INDEX_FLAT
};
enum quantization { /* Also as catalogs have it: never another order. */
    QUANTIZATION_NONE,
    QUANTIZATION_8,
    QUANTIZATION_4,
    QUANTIZATION_2
};
enum vector_memory {
    VECTOR_MEMORY_MAPPED,
    VECTOR_MEMORY_RESIDENT
};
enum index_mode {
    INDEX_MODE_SYNC,
    INDEX_MODE_ASYNC
};
enum on_lag {
    ON_LAG_SCAN,
    ON_LAG_WAIT,
    ON_LAG_FAIL
};
enum on_miss {
    ON_MISS_EXACT,
    ON_MISS_NOTICE,
    ON_MISS_FAIL
};
enum ack {
    ACK_RECEIVED,
    ACK_LEADER,
    ACK_QUORUM,
    ACK_VISIBLE,
    ACK_INDEXED
};
enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARNING,
    LOG_ERROR
};

#endif
