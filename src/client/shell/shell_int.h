/* What the files of vsql share.
 *
 *   main.c       options and exit codes;  shell.c: connecting, complaints
 *   source.c     the main loop over a source of text: the terminal, a file, -c
 *   read.c       its lines
 *   scan.c       lines -> statements and backslash commands
 *   statement.c  a statement -> the server -> results
 *   wait.c       waiting for them; Ctrl-C cancels
 *   command.c    backslash commands, from the table commands.def
 *   describe.c   \d, \dt and their patterns;  query.c: \g \e \watch ...
 *   copy.c       the data of COPY and \copy
 *   out.c        where results go;  pager.c: longer ones;  pset.c: how they look
 *   print.c      results as tables;  report.c: errors with a caret
 *   text_int.h   widths of UTF-8;  edit_int.h: line editing, history, completion
 *
 * vsql is one thread.  The only state outside of struct shell is the pipe that the handler of
 * SIGINT writes to (interrupt.c). */
#ifndef VECTRON_SHELL_INT_H
#define VECTRON_SHELL_INT_H

#include <stdio.h>

#include "base/base.h"
#include "client/vclient.h"

enum {
    SHELL_TEXT_BYTES_MAX = 64 << 20, /* Of one statement; the server's own limit is lower. */
    SHELL_NAME_BYTES = 64,           /* Of a variable's name. */
    SHELL_PATH_BYTES = 4096,
    SHELL_SOURCES_MAX = 32, /* \i inside of \i. */
    SHELL_ARGS_MAX = 16,    /* Of a backslash command. */
    PATTERN_BYTES = 512,    /* Of a name with wildcards. */
};

enum exit_code {
    EXIT_OK = 0,
    EXIT_OWN = 1,
    EXIT_CONNECTION = 2,
    EXIT_SCRIPT = 3
};

/* ---- variables ---- */

struct variable {
    struct variable *next;
    char name[SHELL_NAME_BYTES];
    char *value;
};

const char *vars_get(const struct variable *list, const char *name); /* or NULL */
bool vars_set(struct variable **list, const char *name, const char *value) WARN_UNUSED;
void vars_unset(struct variable **list, const char *name);
void vars_free(struct variable **list);
bool vars_name_is_valid(const char *name);
bool text_is_on(const char *text, bool *on); /* on true yes 1, off false no 0; false: neither. */

/* ---- scanning ---- */

enum scan_state {
    SCAN_PLAIN,
    SCAN_QUOTE,
    SCAN_IDENTIFIER,
    SCAN_COMMENT
};

struct scanner {
    enum scan_state state;
    bool has_escapes;  /* SCAN_QUOTE of E'...'. */
    uint32_t parens;   /* Open parentheses and brackets. */
    uint32_t comments; /* Comments nest. */
    struct buf line;   /* The last line; a copy, for COPY reads on in the source. */
    const char *at;    /* In it. */
    struct buf text;   /* The statement so far, variables put in. */
};

enum scan_result {
    SCAN_MORE,      /* The line is used up. */
    SCAN_STATEMENT, /* scanner.text holds one; scan_reset when it is done with. */
    SCAN_COMMAND,   /* A backslash outside of quotes: scanner.at is behind it. */
};
void scan_init(struct scanner *s);
void scan_fini(struct scanner *s);
void scan_reset(struct scanner *s);
void scan_line(struct scanner *s, const char *line);
enum scan_result scan_next(struct scanner *s, const struct variable *vars);
bool scan_is_empty(const struct scanner *s); /* Nothing but blanks and comments. */
char scan_prompt(const struct scanner *s);   /* '=' fresh, '-' going on, '\'' '"' '(' '*' inside. */

/* ---- the shell ---- */

enum print_format {
    FORMAT_ALIGNED,
    FORMAT_UNALIGNED,
    FORMAT_CSV
};
enum expanded {
    EXPANDED_OFF,
    EXPANDED_ON,
    EXPANDED_AUTO
};

enum pager_use {
    PAGER_ON, /* For what a screen cannot hold. */
    PAGER_OFF,
    PAGER_ALWAYS
};

struct settings {
    enum print_format format;
    enum expanded expanded;
    enum pager_use pager;
    bool tuples_only, is_quiet, timing;
    char separator[16];
    char null[32]; /* What stands for NULL. */
};

struct source {
    struct source *outer;
    const char *name; /* For errors; NULL: the terminal, standard input or -c. */
    FILE *file;       /* NULL: the terminal. */
    bool is_text;     /* The file is the argument of a -c. */
    bool has_failed;  /* It could not be read to its end. */
    uint64_t line;
    char *line_text; /* Owned; the line last read. */
    size_t line_room, line_bytes;
    bool is_data; /* Of COPY: a return at a line's end is kept. */
    struct scanner scan;
};

struct shell {
    vc_conn *conn;
    char *conninfo;
    char *last_vql;   /* The statement last run; NULL: none yet. */
    char *last_error; /* As VERBOSITY verbose shows it; NULL: none yet. */
    struct variable *vars;
    struct settings set;
    FILE *out; /* Standard output, or what \o opened. */
    bool out_is_pipe;
    struct source *source;
    unsigned n_sources;
    struct edit *edit; /* NULL where the input is no terminal. */
    bool is_interactive;
    bool is_quitting;
    bool was_interrupted; /* Ctrl-C ended what ran: nothing more of a script is run. */
    bool has_unread;      /* A question of completion is not answered yet. */
    enum exit_code exit_code;
    struct bar *bar;  /* Of what is running; NULL where none is shown. */
    bool has_own_bar; /* \copy knows more of its file than the server. */
    bool has_copied;  /* Data of COPY went to @out: its tag does not, as in psql. */
};

bool shell_connect(struct shell *shell); /* Tells what went wrong. */
/* A fault of vsql's own or of its user's: "vsql: message" on standard error.  Gives false. */
bool shell_complain(struct shell *shell, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same of a file that could not be opened, for the reason that errno has, with a hint. */
enum shell_access {
    SHELL_READS,
    SHELL_WRITES
};
bool shell_complain_file(struct shell *shell, const char *path, enum shell_access access);
/* A file to read, and no folder.  NULL: that was complained of. */
FILE *shell_open(struct shell *shell, const char *path);
bool shell_stops_on_error(const struct shell *shell);

/* ---- sources ---- */

/* The next line without its newline, or NULL at the end and at Ctrl-C (shell->was_interrupted).
 * @prompt is for the terminal. */
const char *source_read(struct shell *shell, struct source *source, const char *prompt);
/* Runs all of it.  False where something failed. */
bool source_run_text(struct shell *shell, const char *text);
bool source_run_file(struct shell *shell, const char *path); /* "-": standard input. */
bool source_run_terminal(struct shell *shell);

/* ---- statements ---- */

/* Sends @vql, shows all results and errors.  False where it failed. */
bool statement_run(struct shell *shell, const char *vql);
/* The rows of @vql; NULL where it failed, which is told. */
vc_result *statement_rows(struct shell *shell, const char *vql);

/* ---- statements under way: wait.c ---- */

/* To be called before something is sent. */
void statement_begin(struct shell *shell);
/* Waits until a result or copy data can be taken without blocking.  Ctrl-C cancels meanwhile, and a
 * second one gives up the connection. */
void statement_wait(struct shell *shell);
/* Between two pieces of data: waits while the server takes nothing.  False where Ctrl-C was
 * pressed. */
bool statement_drain(struct shell *shell);
/* Asks for the rows of @vql on the side, for @wait_ms at most.  NULL: there is no answer. */
vc_result *statement_ask(struct shell *shell, const char *vql, unsigned wait_ms);
vc_result *statement_result(struct shell *shell); /* vc_get_result behind that wait. */
/* After the last result: notices a lost connection and connects again where that helps. */
void statement_after(struct shell *shell);
/* Connects again where the connection was lost before. */
bool statement_is_connected(struct shell *shell);
void print_time(struct shell *shell, uint64_t micros);

/* ---- COPY ---- */

/* The result just taken was VC_COPY_IN or VC_COPY_OUT: moves the data from or to the source and
 * out of the shell.  False where the client's side failed. */
bool copy_in_from_source(struct shell *shell, const vc_result *result);
bool copy_out_to(struct shell *shell, FILE *file);
/* \copy: @arguments is all that follows the word. */
bool copy_command(struct shell *shell, const char *arguments);

/* What \copy's arguments say. */
struct copy_plan {
    char head[1024]; /* COLLECTION [(columns)] */
    bool is_from;
    char file[SHELL_PATH_BYTES]; /* "": standard input or output */
    char ids[SHELL_PATH_BYTES];  /* "": none */
    char conflict[128];          /* ON CONFLICT ..., or "". */
    char format[16];
    char options[2048]; /* The others, as they were written, with commas between. */
};
enum errcode copy_plan_parse(const char *arguments, struct copy_plan *out,
                             struct err *err) WARN_UNUSED;

/* ---- \d, and the statement at hand ---- */

/* @arguments is all that follows the word. */
bool describe_command(struct shell *shell, const char *arguments);
bool list_command(struct shell *shell, const char *arguments);
/* A name or pattern; *is_name: it has no wildcard.  False where it is none. */
bool pattern_parse(const char *text, char out[PATTERN_BYTES], bool *is_name) WARN_UNUSED;
bool pattern_matches(const char *pattern, const char *name);

bool query_go(struct shell *shell, const char *target); /* NULL: where results go anyway. */
bool query_print(struct shell *shell);
bool query_edit(struct shell *shell);
bool query_watch(struct shell *shell, const char *seconds_text); /* NULL: every two. */

/* ---- progress ---- */

struct bar;
struct bar *bar_new(const char *what, const char *unit, uint64_t total); /* NULL: no terminal. */
void bar_update(struct bar *bar, uint64_t done);
void bar_phase(struct bar *bar, const char *phase, uint64_t done, uint64_t total);
void bar_free(struct bar *bar); /* Wipes it. */
/* "[###---]  41%  12,000 rows  3,000 rows/s  0:07 left", at most @columns wide. */
struct bar_state {
    const char *what, *unit;
    uint64_t done, total, elapsed_us;
};
void bar_render(const struct bar_state *state, unsigned columns, char *out, size_t bytes);

/* ---- output ---- */

/* Keeps a standard file that vsql was started without from becoming something else. */
void out_claim_standard_files(void);
/* @target: a file, or | and a command.  False where it failed, or what was written before did. */
bool out_open(struct shell *shell, const char *target);
bool out_flush(struct shell *shell); /* False where something could not be written: told. */
bool out_close(struct shell *shell); /* Waits for a command; then it is standard output again. */

/* @value NULL: the other one of two, or as it is. */
bool pset_set(struct shell *shell, const char *name, const char *value);
void pset_tell(struct shell *shell, const char *name); /* NULL: of all. */
const char *pset_name(size_t i);                       /* NULL behind the last. */

/* ---- printing ---- */

void print_result(struct shell *shell, vc_result *result);
void print_tag(struct shell *shell, const vc_result *result);
/* An error or notice, with the line of @vql and a caret where it has a position. */
void report_result(struct shell *shell, const vc_result *result, const char *vql);
/* "LINE 2: ...text..." and the caret below it, for byte @position (from 1) of @vql. */
void report_position(struct buf *out, const char *vql, size_t position);
void screen_size(unsigned *rows, unsigned *columns);

/* ---- commands, help ---- */

/* @line is what follows the backslash; @run_file runs the file of an \i.  False where it failed. */
bool command_run(struct shell *shell, const char *line,
                 bool (*run_file)(struct shell *shell, const char *path));
void help_commands(FILE *out);
void help_options(FILE *out);
/* \h: the list of statements, or those that begin with @topic.  False where none does. */
bool help_statement(FILE *out, const char *topic);
const char *help_topic(size_t i); /* NULL behind the last. */

/* ---- Ctrl-C ---- */

void interrupt_init(void);
bool interrupt_take(void); /* True where Ctrl-C was pressed since the last call. */
int interrupt_fd(void);    /* Readable when it was. */

/* ---- longer results ---- */

FILE *pager_open(struct shell *shell, size_t lines,
                 unsigned columns); /* shell->out: none needed. */
void pager_close(struct shell *shell, FILE *file);

#endif
