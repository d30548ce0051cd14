/* Errors: a code from errors.def, a message, and the fields that help a person mend the cause.
 *
 * What the world does wrong is returned: a fallible function returns enum errcode (ERR_OK = 0) and
 * takes struct err * last.  The place that detects the fault fills it in; callers may prefix the
 * message, never replace it.  Messages are lower case and name the object and the value; the hint
 * says what to do. */
#ifndef VECTRON_BASE_ERR_H
#define VECTRON_BASE_ERR_H

#include "base/check.h"

enum errcode {
    ERR_OK = 0,
#define ERROR_CODE(name, sqlstate, text) ERR_##name,
#include "base/errors.def"
#undef ERROR_CODE
    ERR_COUNT
};

enum {
    ERR_MESSAGE_BYTES = 320,
    ERR_FIELD_BYTES = 256,
    ERR_NAME_BYTES = 128, /* A name that is longer is cut in the error, not in the object. */
};

struct err {
    enum errcode code;
    uint32_t position; /* Byte in the statement's text where it stands, from 1; 0 = none. */
    char message[ERR_MESSAGE_BYTES];
    char detail[ERR_FIELD_BYTES];
    char hint[ERR_FIELD_BYTES];
    char collection[ERR_NAME_BYTES];
    char column[ERR_NAME_BYTES];
    char policy[ERR_NAME_BYTES];
};

/* Clears @e and fills in code and message.  Returns @code, so that a caller can return the call. */
enum errcode err_set(struct err *e, enum errcode code, const char *format, ...) PRINTF_LIKE(3, 4);

/* As err_set, for what stands at a place of the statement's text. */
enum errcode err_at(struct err *e, uint32_t position, enum errcode code, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* As err_set, and adds the text of the C library's @errnum.  What runs out (room on the disk,
 * memory, files that may be open) has its own code whatever @code says, and a hint. */
enum errcode err_set_errno(struct err *e, enum errcode code, int errnum, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* Shorthand for the one error that is the same everywhere. */
enum errcode err_no_memory(struct err *e);

/* It tells of a moment, and not of what was asked or is stored: the same may go well later. */
bool err_is_of_the_moment(enum errcode code);

void err_clear(struct err *e);
void err_detail(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);
void err_hint(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);
void err_prefix(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);
void err_collection(struct err *e, const char *name);
void err_column(struct err *e, const char *name);
void err_policy(struct err *e, const char *name);

const char *err_sqlstate(enum errcode code);          /* Five characters; "00000" for ERR_OK. */
const char *err_name(enum errcode code);              /* As in errors.def, upper case. */
const char *err_text(enum errcode code);              /* What the manual says of it. */
enum errcode err_from_sqlstate(const char *sqlstate); /* ERR_INTERNAL where none fits. */

/* The entry of @names nearest to @wanted by edit distance, or NULL where none is near enough to be
 * a slip of the fingers.  For hints.  Case is ignored.  Borrowed from @names. */
const char *err_nearest(const char *wanted, const char *const *names, size_t n_names);

#endif
