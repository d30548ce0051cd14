/* What is said of statements that were under way when the connection was lost.
 *
 * A statement that writes and whose first bytes were sent may have happened: 40003.  Nothing has
 * come of the others: 08006.  A text is taken to write unless it is seen to be one statement that
 * only reads; for prepared ones that is remembered by name, until the name is closed or prepared
 * again. */
#include "client/client_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct reading_name {
    struct reading_name *next;
    char name[];
};

/* ---- texts ---- */

static const char *skip_blanks(const char *at)
{
    for (;;) {
        at += strspn(at, " \t\r\n\f\v");
        const char *end;
        if (strncmp(at, "--", 2) == 0) {
            end = at + strcspn(at, "\n");
        } else if (strncmp(at, "/*", 2) == 0) {
            end = strstr(at + 2, "*/");
            end = end == NULL ? at + strlen(at) : end + 2;
        } else {
            return at;
        }
        at = end;
    }
}

static size_t word_bytes(const char *at)
{
    return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

static bool is_word(const char *at, const char *word)
{
    size_t bytes = word_bytes(at);
    return bytes == strlen(word) && strncasecmp(at, word, bytes) == 0;
}

/* Also in quotes: then it is only taken to write. */
static bool holds_word(const char *at, const char *word)
{
    while (*at != '\0') {
        if (is_word(at, word)) {
            return true;
        }
        size_t bytes = word_bytes(at);
        at += bytes > 0 ? bytes : 1;
    }
    return false;
}

bool outcome_only_reads(const char *vql)
{
    static const char *const readers[] = {"SELECT", "SEARCH", "SHOW",      "DESCRIBE",
                                          "SET",    "RESET",  "CHECKPOINT"};
    const char *semicolon = strchr(vql, ';');
    if (semicolon != NULL && *skip_blanks(semicolon + 1) != '\0') {
        return false; /* Perhaps several statements. */
    }
    const char *first = skip_blanks(vql);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (is_word(first, readers[i])) {
            return true;
        }
    }
    return (is_word(first, "EXPLAIN") && !holds_word(first, "ANALYZE")) ||
           (is_word(first, "COPY") && !holds_word(first, "FROM"));
}

/* ---- prepared statements ---- */

static struct reading_name **find_name(vc_conn *conn, const char *name)
{
    struct reading_name **at = &conn->reading;
    while (*at != NULL && strcmp((*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    return at;
}

void outcome_forget(vc_conn *conn, const char *name)
{
    struct reading_name **at = find_name(conn, name), *gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        mem_free(MEM_GENERAL, gone);
    }
}

void outcome_forget_all(vc_conn *conn)
{
    while (conn->reading != NULL) {
        outcome_forget(conn, conn->reading->name);
    }
}

void outcome_prepare(vc_conn *conn, const char *name, const char *vql)
{
    outcome_forget(conn, name);
    size_t bytes = strlen(name) + 1;
    struct reading_name *reading =
        outcome_only_reads(vql) ? mem_alloc(MEM_GENERAL, sizeof(*reading) + bytes) : NULL;
    if (reading != NULL) { /* Without memory for it the statement is taken to write. */
        memcpy(reading->name, name, bytes);
        reading->next = conn->reading;
        conn->reading = reading;
    }
}

bool outcome_prepared_reads(vc_conn *conn, const char *name)
{
    struct reading_name **at = find_name(conn, name), *found = *at;
    if (found == NULL) {
        return false;
    }
    *at = found->next; /* To the front: the next one is likely the same. */
    found->next = conn->reading;
    conn->reading = found;
    return true;
}

/* ---- the connection is lost ---- */

vc_result *outcome_of_lost(const vc_conn *conn)
{
    CHECK(conn->phase != PHASE_IDLE);
    size_t n_writes = 0;
    const struct command *command = conn->head;
    if (command != NULL && conn->phase == PHASE_END) {
        command = command->next; /* The head is answered. */
    }
    for (; command != NULL; command = command->next) {
        n_writes += command->may_write && command->begun_at < conn->n_sent ? 1 : 0;
    }
    if (n_writes == 0) {
        return result_of_error(ERR_CONNECTION_FAILED, conn->error, NULL);
    }
    char message[sizeof(conn->error) + 96];
    snprintf(message, sizeof(message), "%s, and %zu %s under way and may have happened",
             conn->error, n_writes, n_writes == 1 ? "write was" : "writes were");
    return result_of_error(ERR_OUTCOME_UNKNOWN, message,
                           "Read the rows to learn whether, before you write again.");
}
