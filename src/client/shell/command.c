/* Backslash commands: one table says their names, arguments and help, and what each does. */
#include "client/shell/shell_int.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct arguments {
    size_t n;
    char *items[SHELL_ARGS_MAX]; /* Malloc'd; quotes and variables resolved. */
    const char *raw;             /* The line behind the command's name. */
};

typedef bool command_fn(struct shell *shell, const struct arguments *args);

/* ---- asking the server ---- */

static bool run_describe(struct shell *shell, const struct arguments *args)
{
    if (args->n == 0) {
        return statement_run(shell, "SHOW COLLECTIONS");
    }
    struct buf vql;
    buf_init(&vql, MEM_GENERAL, 4096);
    buf_printf(&vql, "DESCRIBE %s", args->items[0]);
    buf_u8(&vql, '\0');
    bool is_ok = !vql.failed && statement_run(shell, (const char *)vql.data);
    buf_fini(&vql);
    return is_ok;
}

static bool run_list(struct shell *shell, const struct arguments *args)
{
    (void)args;
    return statement_run(shell, "SHOW COLLECTIONS");
}

static bool run_shards(struct shell *shell, const struct arguments *args)
{
    (void)args;
    return statement_run(shell, "SHOW SHARDS");
}

static bool run_conninfo(struct shell *shell, const struct arguments *args)
{
    (void)args;
    if (vc_status(shell->conn) != VC_CONN_OK) {
        statement_after(shell);
        if (vc_status(shell->conn) != VC_CONN_OK) {
            return false;
        }
    }
    const char *version = vc_parameter_status(shell->conn, "server_version");
    bool is_socket = vc_host(shell->conn)[0] == '/';
    fprintf(shell->out, "Connected to %s%s%s as \"%s\"; session %llu, server %s, vsql %s.\n",
            vc_host(shell->conn), is_socket ? "" : " port ", is_socket ? "" : vc_port(shell->conn),
            vc_user(shell->conn), (unsigned long long)vc_session(shell->conn),
            version == NULL ? "of an unknown version" : version, vc_version());
    return true;
}

static bool run_copy(struct shell *shell, const struct arguments *args)
{
    return copy_command(shell, args->raw);
}

/* ---- files and text ---- */

static bool run_include(struct shell *shell, const struct arguments *args)
{
    if (args->n != 1) {
        return shell_complain(shell, "\\i: the name of one file is needed");
    }
    return source_run_file(shell, args->items[0]);
}

static bool run_out(struct shell *shell, const struct arguments *args)
{
    const char *target = args->raw + strspn(args->raw, " \t");
    if (args->n == 0) {
        return out_close(shell);
    }
    return out_open(shell, target[0] == '|' ? target : args->items[0]);
}

static bool echo_to(FILE *out, const struct arguments *args)
{
    for (size_t i = 0; i < args->n; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : " ", args->items[i]);
    }
    putc('\n', out);
    return true;
}

static bool run_echo(struct shell *shell, const struct arguments *args)
{
    FILE *out = shell->out;
    shell->out = stdout; /* Whatever \o says; \qecho is for that. */
    echo_to(stdout, args);
    bool is_ok = out_flush(shell);
    shell->out = out;
    return is_ok;
}

static bool run_echo_result(struct shell *shell, const struct arguments *args)
{
    return echo_to(shell->out, args);
}

static bool run_warn(struct shell *shell, const struct arguments *args)
{
    fflush(shell->out);
    return echo_to(stderr, args);
}

static bool run_help(struct shell *shell, const struct arguments *args)
{
    (void)args;
    help_commands(shell->out);
    return true;
}

static bool run_help_statement(struct shell *shell, const struct arguments *args)
{
    char topic[256] = "";
    for (size_t i = 0; i < args->n; i++) {
        size_t have = strlen(topic);
        snprintf(topic + have, sizeof(topic) - have, "%s%s", i == 0 ? "" : " ", args->items[i]);
    }
    size_t bytes = strlen(topic);
    if (bytes > 0 && topic[bytes - 1] == ';') {
        topic[bytes - 1] = '\0';
    }
    if (!help_statement(shell->out, topic)) {
        return shell_complain(shell, "\\h: no statement begins with \"%s\"; \\h lists them", topic);
    }
    return true;
}

/* ---- settings ---- */

static bool set_look(struct shell *shell, const char *name, const struct arguments *args)
{
    if (!pset_set(shell, name, args->n > 0 ? args->items[0] : NULL)) {
        return false;
    }
    if (!shell->set.is_quiet) {
        pset_tell(shell, name);
    }
    return true;
}

static bool run_expanded(struct shell *shell, const struct arguments *args)
{
    return set_look(shell, "expanded", args);
}

static bool run_tuples(struct shell *shell, const struct arguments *args)
{
    return set_look(shell, "tuples_only", args);
}

static bool run_aligned(struct shell *shell, const struct arguments *args)
{
    (void)args;
    return set_look(shell, "format", &(struct arguments){0});
}

static bool run_pset(struct shell *shell, const struct arguments *args)
{
    if (args->n == 0) {
        pset_tell(shell, NULL);
        return true;
    }
    struct arguments value = {.n = args->n > 1, .items = {args->items[1]}};
    return set_look(shell, args->items[0], &value);
}

static bool run_timing(struct shell *shell, const struct arguments *args)
{
    bool on = !shell->set.timing;
    if (args->n > 0 && !text_is_on(args->items[0], &on)) {
        return shell_complain(shell, "\\timing: \"%s\" is neither on nor off", args->items[0]);
    }
    shell->set.timing = on;
    if (!shell->set.is_quiet) {
        fprintf(shell->out, "Timing is %s.\n", on ? "on" : "off");
    }
    return true;
}

static bool run_set(struct shell *shell, const struct arguments *args)
{
    if (args->n == 0) {
        for (const struct variable *v = shell->vars; v != NULL; v = v->next) {
            fprintf(shell->out, "%s = '%s'\n", v->name, v->value);
        }
        return true;
    }
    if (!vars_name_is_valid(args->items[0])) {
        return shell_complain(shell, "\\set: \"%s\" is no name for a variable", args->items[0]);
    }
    struct buf value; /* Several words are put together, as psql does. */
    buf_init(&value, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    for (size_t i = 1; i < args->n; i++) {
        buf_bytes(&value, args->items[i], strlen(args->items[i]));
    }
    buf_u8(&value, '\0');
    bool is_ok = !value.failed && vars_set(&shell->vars, args->items[0], (const char *)value.data);
    if (strcmp(args->items[0], "QUIET") == 0 && is_ok) {
        bool on = true;
        shell->set.is_quiet = !text_is_on((const char *)value.data, &on) || on;
    }
    buf_fini(&value);
    return is_ok ? true : shell_complain(shell, "\\set: out of memory");
}

static bool run_unset(struct shell *shell, const struct arguments *args)
{
    if (args->n != 1) {
        return shell_complain(shell, "\\unset: the name of one variable is needed");
    }
    vars_unset(&shell->vars, args->items[0]);
    return true;
}

static bool run_quit(struct shell *shell, const struct arguments *args)
{
    (void)args;
    shell->is_quitting = true;
    return true;
}

/* ---- the table ---- */

static const struct command {
    const char *name, *arguments, *text;
    command_fn *run;
} commands[] = {
    {"?", "", "list these commands", run_help},
    {"a", "", "switch between aligned and unaligned output", run_aligned},
    {"conninfo", "", "tell about the connection", run_conninfo},
    {"copy", "NAME FROM|TO 'FILE' [(...)]", "COPY with a file on this machine", run_copy},
    {"d", "[NAME]", "describe a collection, or list all", run_describe},
    {"dt", "", "list the collections", run_list},
    {"echo", "TEXT", "print a text on standard output", run_echo},
    {"h", "[STATEMENT]", "help on VQL statements", run_help_statement},
    {"i", "FILE", "run the statements and commands of a file", run_include},
    {"l", "", "list the shards and what they hold", run_shards},
    {"o", "[FILE or |COMMAND]", "send results there, or to the screen again", run_out},
    {"pset", "[NAME [VALUE]]", "set how results look, or list all", run_pset},
    {"q", "", "quit", run_quit},
    {"qecho", "TEXT", "print a text where results go", run_echo_result},
    {"set", "[NAME [VALUE]]", "set a variable, or list all", run_set},
    {"t", "[on|off]", "rows only, without headers", run_tuples},
    {"timing", "[on|off]", "time each statement", run_timing},
    {"unset", "NAME", "remove a variable", run_unset},
    {"warn", "TEXT", "print a text on standard error", run_warn},
    {"x", "[on|off|auto]", "expanded output: a line a column", run_expanded},
};

const char *command_name(size_t i)
{
    return i < COUNT_OF(commands) ? commands[i].name : NULL;
}

void help_commands(FILE *out)
{
    fputs("Commands\n", out);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        char call[64];
        snprintf(call, sizeof(call), "\\%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  %-34s %s\n", call, commands[i].text);
    }
    fputs("\n"
          "\\copy takes the formats csv, fbin and binary, and for fbin a file of ids:\n"
          "  \\copy words FROM 'words.fbin' WITH (format fbin, ids 'words.txt')\n"
          "\n"
          "Variables: :name, :'name' as a text, :\"name\" as an identifier.  Special ones:\n"
          "  ON_ERROR_STOP  on: a script ends at its first error, with exit code 3\n"
          "  ECHO           all: print each line of input; queries: each statement\n"
          "  VERBOSITY      verbose: errors with their SQLSTATE; terse: the message alone\n"
          "  QUIET          on: no remarks, no command tags\n"
          "  ERROR SQLSTATE ROW_COUNT   how the last statement went\n",
          out);
}

/* ---- arguments ---- */

/* Appends the text in quotes at *at, which moves behind it.  False where it is not closed. */
static bool add_quoted(struct buf *out, const char **at)
{
    char quote = *(*at)++;
    for (;; (*at)++) {
        if (**at == '\0') {
            return false;
        }
        if (**at == quote) {
            if ((*at)[1] != quote) {
                (*at)++;
                return true;
            }
            (*at)++;
        }
        buf_u8(out, (uint8_t) * *at);
    }
}

/* :name and :'name' inside of an argument; true where there was one. */
static bool add_variable(const struct shell *shell, struct buf *out, const char **at)
{
    const char *name = *at + 1;
    bool is_quoted = *name == '\'';
    name += is_quoted;
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || name[n] == '_') {
        n++;
    }
    char copy[SHELL_NAME_BYTES];
    if (n == 0 || n >= sizeof(copy) || (is_quoted && name[n] != '\'')) {
        return false;
    }
    memcpy(copy, name, n);
    copy[n] = '\0';
    const char *value = vars_get(shell->vars, copy);
    if (value == NULL) {
        return false;
    }
    buf_bytes(out, value, strlen(value));
    *at = name + n + is_quoted;
    return true;
}

static bool parse_argument(struct shell *shell, const char **at, struct arguments *out)
{
    struct buf text;
    buf_init(&text, MEM_GENERAL, SHELL_TEXT_BYTES_MAX);
    bool is_closed = true;
    while (is_closed && **at != '\0' && !isspace((unsigned char)**at)) {
        if (**at == '\'') {
            is_closed = add_quoted(&text, at);
        } else if (**at != ':' || !add_variable(shell, &text, at)) {
            buf_u8(&text, (uint8_t) * (*at)++);
        }
    }
    buf_u8(&text, '\0');
    char *copy = text.failed ? NULL : strdup((const char *)text.data);
    buf_fini(&text);
    if (copy != NULL) {
        out->items[out->n++] = copy;
    }
    if (!is_closed) {
        return shell_complain(shell, "a quote is not closed");
    }
    return copy != NULL ? true : shell_complain(shell, "out of memory");
}

static bool parse_arguments(struct shell *shell, const char *at, struct arguments *out)
{
    for (;;) {
        while (isspace((unsigned char)*at)) {
            at++;
        }
        if (*at == '\0') {
            return true;
        }
        if (out->n == SHELL_ARGS_MAX) {
            return shell_complain(shell, "more than %d arguments", SHELL_ARGS_MAX);
        }
        if (!parse_argument(shell, &at, out)) {
            return false;
        }
    }
}

static const struct command *find_command(const char *name, size_t bytes)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strlen(commands[i].name) == bytes && memcmp(commands[i].name, name, bytes) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

bool command_run(struct shell *shell, const char *line)
{
    size_t bytes = strcspn(line, " \t;");
    const struct command *command = find_command(line, bytes);
    if (command == NULL) {
        return shell_complain(shell, "there is no command \\%.*s; \\? lists them",
                              (int)(bytes < 32 ? bytes : 32), line);
    }
    const char *rest = line + bytes;
    rest += *rest == ';'; /* Out of habit. */
    struct arguments args = {.raw = rest};
    /* \copy has a grammar of its own, in which a quote is not an argument's. */
    bool is_ok = (command->run == run_copy || parse_arguments(shell, rest, &args)) &&
                 command->run(shell, &args);
    for (size_t i = 0; i < args.n; i++) {
        free(args.items[i]);
    }
    return out_flush(shell) && is_ok;
}
