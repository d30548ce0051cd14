/* Backslash commands: the table commands.def says their names, arguments and help, and which
 * function does it. */
#include "client/shell/edit_int.h"
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
    bool (*run_file)(struct shell *shell, const char *path);
};

typedef bool command_fn(struct shell *shell, const struct arguments *args);

/* ---- asking the server ---- */

static bool run_describe(struct shell *shell, const struct arguments *args)
{
    return describe_command(shell, args->raw);
}

static bool run_list(struct shell *shell, const struct arguments *args)
{
    return list_command(shell, args->raw);
}

static bool run_shards(struct shell *shell, const struct arguments *args)
{
    (void)args;
    return statement_run(shell, "SHOW SHARDS");
}

static bool run_conninfo(struct shell *shell, const struct arguments *args)
{
    (void)args;
    statement_after(shell); /* Connects again where it was lost. */
    if (vc_status(shell->conn) != VC_CONN_OK) {
        return false;
    }
    const char *version = vc_parameter_status(shell->conn, "server_version");
    bool is_socket = vc_host(shell->conn)[0] == '/';
    fprintf(shell->out, "Connected to %s%s%s as \"%s\"; session %llu, server %s, vsql %s.\n",
            vc_host(shell->conn), is_socket ? "" : " port ", is_socket ? "" : vc_port(shell->conn),
            vc_user(shell->conn), (unsigned long long)vc_session(shell->conn),
            version == NULL ? "of an unknown version" : version, vc_version());
    return true;
}

/* \c: another connection; the old one stays where there is none. */
static bool run_connect(struct shell *shell, const struct arguments *args)
{
    const char *text = args->raw + strspn(args->raw, " \t");
    char *old_info = shell->conninfo;
    vc_conn *old = shell->conn;
    if (text[0] != '\0' && strchr(text, '=') == NULL && strstr(text, "://") == NULL) {
        return shell_complain(shell, "\\c: a URI or key=value pairs are needed: a server has one "
                                     "database");
    }
    shell->conninfo = strdup(text[0] == '\0' ? old_info : text);
    if (shell->conninfo == NULL || !shell_connect(shell)) {
        vc_close(shell->conn);
        free(shell->conninfo);
        shell->conninfo = old_info;
        shell->conn = old;
        return shell_complain(shell, "the connection is the one before");
    }
    vc_close(old);
    free(old_info);
    return run_conninfo(shell, args);
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
    return args->run_file(shell, args->items[0]);
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
    bool is_aligned = shell->set.format == FORMAT_ALIGNED;
    struct arguments value = {.n = 1, .items = {is_aligned ? "unaligned" : "aligned"}};
    return set_look(shell, "format", &value);
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

static bool run_history(struct shell *shell, const struct arguments *args)
{
    (void)args;
    if (shell->edit == NULL) {
        return shell_complain(shell, "\\s: there is no history where there is no terminal");
    }
    edit_history_print(shell->edit, shell->out);
    return true;
}

/* ---- the statement at hand ---- */

static const char *target_of(const struct arguments *args)
{
    const char *raw = args->raw + strspn(args->raw, " \t");
    return args->n == 0 ? NULL : raw[0] == '|' ? raw : args->items[0];
}

static bool run_go(struct shell *shell, const struct arguments *args)
{
    return query_go(shell, target_of(args));
}

static bool run_go_expanded(struct shell *shell, const struct arguments *args)
{
    enum expanded expanded = shell->set.expanded;
    shell->set.expanded = EXPANDED_ON;
    bool is_ok = query_go(shell, target_of(args));
    shell->set.expanded = expanded;
    return is_ok;
}

static bool run_print(struct shell *shell, const struct arguments *args)
{
    (void)args;
    return query_print(shell);
}

static bool run_reset(struct shell *shell, const struct arguments *args)
{
    (void)args;
    scan_reset(&shell->source->scan);
    return true;
}

static bool run_edit(struct shell *shell, const struct arguments *args)
{
    (void)args;
    return query_edit(shell);
}

static bool run_watch(struct shell *shell, const struct arguments *args)
{
    return query_watch(shell, args->n > 0 ? args->items[0] : NULL);
}

static bool run_error(struct shell *shell, const struct arguments *args)
{
    (void)args;
    fputs(shell->last_error == NULL ? "There was no error yet.\n" : shell->last_error, shell->out);
    return true;
}

static bool run_shell(struct shell *shell, const struct arguments *args)
{
    const char *user_shell = getenv("SHELL");
    const char *command = args->raw + strspn(args->raw, " \t");
    fflush(shell->out);
    int status = system(command[0] != '\0' ? command : user_shell == NULL ? "sh" : user_shell);
    interrupt_take(); /* Ctrl-C was for the command. */
    return status == 0 || shell_complain(shell, "\\!: the command failed");
}

static bool run_quit(struct shell *shell, const struct arguments *args)
{
    (void)args;
    shell->is_quitting = true;
    return true;
}

/* ---- the table ---- */

enum {
    ARGUMENTS_CUT = false,
    ARGUMENTS_RAW = true
};

static const struct command {
    const char *name, *arguments, *text;
    command_fn *run;
    bool is_raw; /* Quotes are not an argument's: it reads the line itself. */
} commands[] = {
#define COMMAND(name, function, kind, arguments, text)                                             \
    {name, arguments, text, run_##function, ARGUMENTS_##kind},
#include "client/shell/commands.def"
#undef COMMAND
};

/* What psql has and vectrond has not. */
static const char *const foreign[][2] = {
    {"du", "there are no users yet"},
    {"dg", "there are no users yet"},
    {"dn", "there are no schemas: \\dt lists all collections"},
    {"df", "the functions are in doc/vql.md; \\h lists the statements"},
    {"di", "an index belongs to its vector column: \\d NAME shows it"},
    {"dv", "there are no views of one's own; SHOW VIEWS lists the server's"},
    {"ds", "there are no sequences"},
    {"dp", "there are no privileges yet"},
    {"z", "there are no privileges yet"},
    {"dT", "the types are in doc/vql.md"},
    {"db", "there are no tablespaces: \\l lists the shards"},
    {"dx", "there are no extensions"},
    {"drds", "policies are set for a collection, a session or a statement: SHOW ALL"},
    {"dconfig", "SHOW ALL lists the policies"},
    {"password", "there are no passwords yet"},
    {"connect", "it is \\c here"},
    {"include", "it is \\i here"},
    {"ir", "it is \\i here"},
    {"out", "it is \\o here"},
    {"quit", "it is \\q here"},
    {"help", "it is \\? here, and \\h for statements"},
    {"f", "it is \\pset fieldsep here"},
    {"gdesc", "PREPARE is the protocol's: see vc_describe_prepared"},
};

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
          "  HISTFILE HISTSIZE HISTCONTROL   the history, as psql has them (in ~/.vsqlrc)\n"
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
    bytes -= bytes > 1 && name[bytes - 1] == '+'; /* psql's "more"; there is no less. */
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strlen(commands[i].name) == bytes && memcmp(commands[i].name, name, bytes) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static bool refuse_command(struct shell *shell, const char *name, size_t bytes)
{
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
        if (strlen(foreign[i][0]) == bytes && memcmp(foreign[i][0], name, bytes) == 0) {
            return shell_complain(shell, "there is no command \\%s: %s", foreign[i][0],
                                  foreign[i][1]);
        }
    }
    return shell_complain(shell, "there is no command \\%.*s; \\? lists them",
                          (int)(bytes < 32 ? bytes : 32), name);
}

bool command_run(struct shell *shell, const char *line,
                 bool (*run_file)(struct shell *shell, const char *path))
{
    size_t bytes = *line == '!' ? 1 : strcspn(line, " \t;");
    const struct command *command = find_command(line, bytes);
    if (command == NULL) {
        return refuse_command(shell, line, bytes);
    }
    const char *rest = line + bytes;
    rest += *rest == ';'; /* Out of habit. */
    struct arguments args = {.raw = rest, .run_file = run_file};
    bool is_ok =
        (command->is_raw || parse_arguments(shell, rest, &args)) && command->run(shell, &args);
    for (size_t i = 0; i < args.n; i++) {
        free(args.items[i]);
    }
    return out_flush(shell) && is_ok;
}
