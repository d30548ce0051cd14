/* The terminal: lines that are typed, their history and completion (edit.c, complete.c). */
#ifndef VECTRON_SHELL_EDIT_INT_H
#define VECTRON_SHELL_EDIT_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct edit;
struct shell;

struct edit *edit_new(struct shell *shell);
void edit_free(struct edit *edit);
/* A line, borrowed until the next call; NULL at the end of input.  *is_interrupted: Ctrl-C. */
const char *edit_line(struct edit *edit, const char *prompt, bool *is_interrupted);
/* Lines that the next calls give, as if they had been typed; they are shown. */
void edit_push(struct edit *edit, const char *text);
/* The history: the lines of a statement are added to one entry, which is then kept or dropped. */
void edit_history_add(struct edit *edit, const char *line);
void edit_history_keep(struct edit *edit);
void edit_history_drop(struct edit *edit);
void edit_history_print(struct edit *edit, FILE *out);
/* The candidates for the word that ends at @cursor of @line.  Each is malloc'd, as the array is. */
struct candidates {
    char **items;
    size_t n;
    size_t word_bytes; /* Of the word that they replace. */
    char append;       /* What follows a single match; 0: nothing. */
};
void complete_line(struct shell *shell, const char *line, size_t cursor, struct candidates *out);
void candidates_free(struct candidates *c);
size_t candidates_common(const struct candidates *c); /* Bytes that all begin with. */
/* Keywords of VQL, lower case, sorted; made from the parser's table at build time. */
extern const char *const shell_keywords[];
extern const size_t n_shell_keywords;
extern const char *const shell_functions[];
extern const size_t n_shell_functions;

#endif
