/* Errors: the table behind the codes, and the functions that fill in an error's fields. */
#include "base/err.h"

#include "base/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NEAREST_NAME_BYTES_MAX = 63
};

static const struct {
    const char *name, *sqlstate, *text;
} rows[ERR_COUNT] = {
    {"OK", "00000", "No error."},
#define ERROR_CODE(name, sqlstate, text) {#name, sqlstate, text},
#include "base/errors.def"
#undef ERROR_CODE
};

#define ERROR_CODE(name, sqlstate, text)                                                           \
    _Static_assert(sizeof(sqlstate) == 6, "SQLSTATE of " #name " has five characters");
#include "base/errors.def"
#undef ERROR_CODE

const char *err_sqlstate(enum errcode code)
{
    CHECK(code < ERR_COUNT);
    return rows[code].sqlstate;
}

const char *err_name(enum errcode code)
{
    CHECK(code < ERR_COUNT);
    return rows[code].name;
}

const char *err_text(enum errcode code)
{
    CHECK(code < ERR_COUNT);
    return rows[code].text;
}

enum errcode err_from_sqlstate(const char *sqlstate)
{
    for (int code = 0; code < ERR_COUNT; code++) {
        if (strcmp(rows[code].sqlstate, sqlstate) == 0) {
            return (enum errcode)code;
        }
    }
    return ERR_INTERNAL;
}

void err_clear(struct err *e)
{
    memset(e, 0, sizeof(*e));
}

/* An error quotes what came from outside, and goes to screens and logs: what is no text in it is
 * shown as question marks. */
static void make_text(char *field)
{
    bool is_text = utf8_is_valid(field, strlen(field));
    for (char *at = field; *at != '\0'; at++) {
        bool is_control = (unsigned char)*at < ' ' || *at == 0x7f;
        if (is_control || (!is_text && ((unsigned char)*at & 0x80) != 0)) {
            *at = '?';
        }
    }
}

/* Cut rather than fail: a shortened message is better than none.  A cut never splits a UTF-8
 * character, so that what a client gets is still text. */
static void format_field(char *field, size_t bytes, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static void format_field(char *field, size_t bytes, const char *format, va_list args)
{
    int n = vsnprintf(field, bytes, format, args);
    if (n < 0) {
        field[0] = '\0';
    } else if ((size_t)n >= bytes) {
        size_t end = bytes - 1;
        while (end > 0 && ((unsigned char)field[end - 1] & 0xc0) == 0x80) {
            end--;
        }
        if (end > 0 && ((unsigned char)field[end - 1] & 0x80) != 0) {
            end--;
        }
        field[end] = '\0';
    }
    make_text(field);
}

enum errcode err_set(struct err *e, enum errcode code, const char *format, ...)
{
    CHECK(code > ERR_OK && code < ERR_COUNT);
    CHECK(format != NULL);
    err_clear(e);
    e->code = code;
    va_list args;
    va_start(args, format);
    format_field(e->message, sizeof(e->message), format, args);
    va_end(args);
    return code;
}

enum errcode err_at(struct err *e, uint32_t position, enum errcode code, const char *format, ...)
{
    CHECK(code > ERR_OK && code < ERR_COUNT);
    err_clear(e);
    e->code = code;
    e->position = position;
    va_list args;
    va_start(args, format);
    format_field(e->message, sizeof(e->message), format, args);
    va_end(args);
    return code;
}

/* What the system has no more of. */
static const struct {
    int errnum;
    enum errcode code;
    const char *hint;
} run_out[] = {
    {ENOSPC, ERR_DISK_FULL, "Free disk space."},
    {EDQUOT, ERR_DISK_FULL,
     "Raise the quota of the user that runs the server, or free disk space."},
    {EFBIG, ERR_DISK_FULL,
     "Raise the limit of a file's size (ulimit -f) of the server, and start it anew."},
    {ENOMEM, ERR_OUT_OF_MEMORY, "Give the server more memory, or less to do at once."},
    {EMFILE, ERR_TOO_MANY_FILES,
     "Raise the limit of open files (ulimit -n), or lower max_connections."},
    {ENFILE, ERR_TOO_MANY_FILES, "Raise the system's limit of open files (sysctl fs.file-max)."},
};

enum errcode err_set_errno(struct err *e, enum errcode code, int errnum, const char *format, ...)
{
    CHECK(format != NULL);
    size_t at = 0;
    while (at < COUNT_OF(run_out) && run_out[at].errnum != errnum) {
        at++;
    }
    bool is_run_out = at < COUNT_OF(run_out);
    err_clear(e);
    e->code = is_run_out ? run_out[at].code : code;
    va_list args;
    va_start(args, format);
    format_field(e->message, sizeof(e->message), format, args);
    va_end(args);
    char reason[96];
    if (strerror_r(errnum, reason, sizeof(reason)) != 0) {
        snprintf(reason, sizeof(reason), "error %d", errnum);
    }
    size_t used = strlen(e->message);
    snprintf(e->message + used, sizeof(e->message) - used, ": %s", reason);
    if (is_run_out) {
        err_hint(e, "%s", run_out[at].hint);
    }
    return e->code;
}

bool err_is_of_the_moment(enum errcode code)
{
    return code == ERR_OUT_OF_MEMORY || code == ERR_OVERLOADED || code == ERR_IO ||
           code == ERR_DISK_FULL || code == ERR_TOO_MANY_FILES;
}

enum errcode err_no_memory(struct err *e)
{
    err_set(e, ERR_OUT_OF_MEMORY, "out of memory");
    err_hint(e, "Raise statement_memory, ask for less at once, or give the server more memory.");
    return ERR_OUT_OF_MEMORY;
}

#define FIELD_SETTER(field)                                                                        \
    void err_##field(struct err *e, const char *format, ...)                                       \
    {                                                                                              \
        CHECK(e->code != ERR_OK);                                                                  \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        format_field(e->field, sizeof(e->field), format, args);                                    \
        va_end(args);                                                                              \
    }
FIELD_SETTER(detail)
FIELD_SETTER(hint)
#undef FIELD_SETTER

void err_prefix(struct err *e, const char *format, ...)
{
    CHECK(e->code != ERR_OK);
    char old[ERR_MESSAGE_BYTES];
    memcpy(old, e->message, sizeof(old));
    va_list args;
    va_start(args, format);
    format_field(e->message, sizeof(e->message), format, args);
    va_end(args);
    size_t used = strlen(e->message);
    snprintf(e->message + used, sizeof(e->message) - used, ": %s", old);
}

void err_collection(struct err *e, const char *name)
{
    snprintf(e->collection, sizeof(e->collection), "%s", name);
}

void err_column(struct err *e, const char *name)
{
    snprintf(e->column, sizeof(e->column), "%s", name);
}

void err_policy(struct err *e, const char *name)
{
    snprintf(e->policy, sizeof(e->policy), "%s", name);
}

/* The optimal string alignment distance: edits and swaps of neighbours (Damerau 1964), with two
 * rows kept beside the one in work. */
static unsigned edit_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    unsigned table[3][NEAREST_NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_bytes; j++) {
        table[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_bytes; i++) {
        unsigned *row = table[i % 3], *above = table[(i + 2) % 3], *above2 = table[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_bytes; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            unsigned best = above[j - 1] + (ca != cb);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]) && above2[j - 2] + 1 < best) {
                best = above2[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return table[a_bytes % 3][b_bytes];
}

const char *err_nearest(const char *wanted, const char *const *names, size_t n_names)
{
    size_t wanted_bytes = strlen(wanted);
    if (wanted_bytes == 0 || wanted_bytes > NEAREST_NAME_BYTES_MAX) {
        return NULL;
    }
    /* A slip of the fingers: at most one edit in three characters, and never more than three. */
    unsigned best = wanted_bytes >= 9 ? 4 : (unsigned)(wanted_bytes / 3) + 1;
    best = wanted_bytes < 3 ? (unsigned)wanted_bytes : best + (wanted_bytes < 6);
    const char *nearest = NULL;
    for (size_t i = 0; i < n_names; i++) {
        size_t bytes = strlen(names[i]);
        if (bytes > NEAREST_NAME_BYTES_MAX) {
            continue;
        }
        unsigned distance = edit_distance(wanted, wanted_bytes, names[i], bytes);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
