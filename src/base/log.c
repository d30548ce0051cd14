/* The server's log: each line is formatted into a buffer of its own and written with one call. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 2048,
    KEY_BYTES = 32 /* " key=" and what ends a value. */
};

static _Atomic int level_min = LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

void log_set_fd(int fd)
{
    CHECK(fd >= 0);
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

bool log_shows(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

/* Text from clients may stand in a line: what is not printable must not forge a second one. */
static void make_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            *text = ' ';
        }
    }
}

static size_t put_head(char *line, enum log_level level)
{
    int64_t now = clock_wall_micros();
    time_t seconds = (time_t)(now / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t used = strftime(line, LINE_BYTES_MAX, "%Y-%m-%d %H:%M:%S", &parts);
    return used + (size_t)snprintf(line + used, LINE_BYTES_MAX - used, ".%03dZ %s ",
                                   (int)(now / 1000 % 1000), level_names[level]);
}

static void put_line(char *line, size_t used)
{
    used = used > LINE_BYTES_MAX - 2 ? LINE_BYTES_MAX - 2 : used;
    line[used] = '\0';
    make_one_line(line);
    line[used] = '\n';
    ssize_t written = write(atomic_load_explicit(&log_fd, memory_order_relaxed), line, used + 1);
    (void)written; /* There is nowhere to say that the log cannot be written. */
}

static size_t put_text(char *line, size_t used, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static size_t put_text(char *line, size_t used, const char *format, va_list args)
{
    int n = vsnprintf(line + used, LINE_BYTES_MAX - used, format, args);
    used += n < 0 ? 0 : (size_t)n;
    return used > LINE_BYTES_MAX - 2 ? LINE_BYTES_MAX - 2 : used;
}

/* ' key="value"', where a quote and a backslash of the value have a backslash before them. */
static size_t put_quoted(char *line, size_t used, const char *key, const char *value)
{
    if (used >= LINE_BYTES_MAX - KEY_BYTES) {
        return used; /* The text before it fills the line. */
    }
    used += (size_t)snprintf(line + used, KEY_BYTES, " %s=\"", key);
    for (; *value != '\0' && used < LINE_BYTES_MAX - 4; value++) {
        if (*value == '"' || *value == '\\') {
            line[used++] = '\\';
        }
        line[used++] = *value;
    }
    line[used] = '"';
    return used + 1;
}

void log_line(enum log_level level, const char *format, ...)
{
    CHECK(format != NULL);
    if (!log_shows(level)) {
        return;
    }
    char line[LINE_BYTES_MAX];
    size_t used = put_head(line, level);
    va_list args;
    va_start(args, format);
    used = put_text(line, used, format, args);
    va_end(args);
    put_line(line, used);
}

void log_err(enum log_level level, const struct err *err, const char *format, ...)
{
    CHECK(err->code != ERR_OK);
    if (!log_shows(level)) {
        return;
    }
    char line[LINE_BYTES_MAX];
    size_t used = put_head(line, level);
    va_list args;
    va_start(args, format);
    used = put_text(line, used, format, args);
    va_end(args);
    if (used < LINE_BYTES_MAX - KEY_BYTES) {
        used += (size_t)snprintf(line + used, KEY_BYTES, " sqlstate=%s", err_sqlstate(err->code));
    }
    used = put_quoted(line, used, "error", err->message);
    used = err->hint[0] != '\0' ? put_quoted(line, used, "hint", err->hint) : used;
    put_line(line, used);
}
