/* The server's log: one line an event on stderr: time, level, fixed text, then key=value.
 *
 * No secrets, no vectors.  The text before the first key never changes, so that it can be searched
 * for.  Lines are written whole, by any thread. */
#ifndef VECTRON_BASE_LOG_H
#define VECTRON_BASE_LOG_H

#include "base/err.h"
#include "base/policy.h"

void log_set_level(enum log_level level);
bool log_shows(enum log_level level);
void log_set_fd(int fd); /* Standard error until it is called. */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
/* As log_line, with the error's SQLSTATE, message and hint at the end. */
void log_err(enum log_level level, const struct err *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
