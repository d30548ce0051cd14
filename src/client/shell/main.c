/* vsql: the shell of vectrond.
 *
 * Options, the connection, then -c and -f in their order, or the terminal, or standard input. */
#define _GNU_SOURCE /* getopt_long */
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ACTIONS_MAX = 256,
    CONNINFO_BYTES = 8192
};

struct action {
    char kind; /* 'c' text, 'f' file */
    const char *text;
};

struct options {
    struct action actions[ACTIONS_MAX];
    size_t n_actions;
    char conninfo[CONNINFO_BYTES];
    const char *host, *port, *user;
    const char *output;
    bool no_rc;
};

/* ---- the connection string ---- */

static bool is_uri(const char *conninfo)
{
    return strncmp(conninfo, "vectron://", strlen("vectron://")) == 0;
}

/* Adds a key to the connection string, in its own form: what is added later wins. */
static void add_conninfo(char conninfo[CONNINFO_BYTES], const char *key, const char *value)
{
    bool uri = is_uri(conninfo);
    const char *lead = !uri ? " " : strchr(conninfo, '?') != NULL ? "&" : "?";
    size_t n = strlen(conninfo);
    n += (size_t)snprintf(conninfo + n, CONNINFO_BYTES - n, "%s%s=%s", lead, key, uri ? "" : "'");
    for (; *value != '\0' && n + 5 < CONNINFO_BYTES; value++) {
        bool is_plain = *value != '\'' && *value != '\\';
        if (uri) {
            n += (size_t)snprintf(conninfo + n, CONNINFO_BYTES - n, "%%%02x",
                                  (unsigned)(unsigned char)*value);
        } else {
            n += (size_t)snprintf(conninfo + n, CONNINFO_BYTES - n, "%s%c", is_plain ? "" : "\\",
                                  *value);
        }
    }
    if (!uri && n < CONNINFO_BYTES) {
        snprintf(conninfo + n, CONNINFO_BYTES - n, "'");
    }
}

static void finish_conninfo(struct options *options)
{
    char *conninfo = options->conninfo;
    if (strstr(conninfo, "application_name") == NULL && getenv("VCAPPNAME") == NULL) {
        add_conninfo(conninfo, "application_name", "vsql");
    }
    if (isatty(STDERR_FILENO) && strstr(conninfo, "progress") == NULL) {
        add_conninfo(conninfo, "progress", "on");
    }
    const char *const parts[][2] = {
        {"host", options->host}, {"port", options->port}, {"user", options->user}};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (parts[i][1] != NULL) {
            add_conninfo(conninfo, parts[i][0], parts[i][1]);
        }
    }
}

/* ---- options ---- */

NO_RETURN static void usage_error(void)
{
    fputs("Try \"vsql --help\".\n", stderr);
    exit(EXIT_OWN);
}

static void add_action(struct options *options, char kind, const char *text)
{
    if (options->n_actions == ACTIONS_MAX) {
        fprintf(stderr, "vsql: more than %d -c and -f\n", ACTIONS_MAX);
        exit(EXIT_OWN);
    }
    options->actions[options->n_actions++] = (struct action){kind, text};
}

static void set_variable(struct shell *shell, const char *pair)
{
    const char *equals = strchr(pair, '=');
    size_t bytes = equals == NULL ? strlen(pair) : (size_t)(equals - pair);
    char name[SHELL_NAME_BYTES];
    snprintf(name, sizeof(name), "%.*s", (int)(bytes < 63 ? bytes : 63), pair);
    if (!vars_name_is_valid(name) || bytes >= sizeof(name)) {
        fprintf(stderr, "vsql: -v: \"%s\" is no name for a variable\n", name);
        exit(EXIT_OWN);
    }
    CHECK(vars_set(&shell->vars, name, equals == NULL ? "" : equals + 1));
}

static void set_conninfo(struct options *options, const char *text)
{
    bool is_plain_name = strchr(text, '=') == NULL && strstr(text, "://") == NULL;
    if (is_plain_name || strlen(text) + 1024 > CONNINFO_BYTES) {
        fprintf(stderr, "vsql: \"%.64s\" is neither a URI nor key=value pairs\n", text);
        fputs("HINT:  A server has one database, which has no name; -h and -p say where it is.\n",
              stderr);
        usage_error();
    }
    snprintf(options->conninfo, CONNINFO_BYTES, "%s", text);
}

enum {
    OPTION_CSV = 256,
    OPTION_HELP,
    OPTION_VERSION
};

/* The options that change how results look, as \pset does. */
static bool set_look(struct shell *shell, int option, const char *value)
{
    static const struct {
        int option;
        const char *name, *value; /* NULL: what the option is given. */
    } looks[] = {{'A', "format", "unaligned"},
                 {OPTION_CSV, "format", "csv"},
                 {'F', "fieldsep", NULL},
                 {'x', "expanded", "on"},
                 {'t', "tuples_only", "on"}};
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        if (looks[i].option == option) {
            const char *text = looks[i].value == NULL ? value : looks[i].value;
            if (!pset_set(shell, looks[i].name, text)) {
                usage_error();
            }
            return true;
        }
    }
    return false;
}

/* -P NAME=VALUE */
static void set_named_look(struct shell *shell, const char *pair)
{
    char name[SHELL_NAME_BYTES];
    const char *equals = strchr(pair, '=');
    size_t bytes = equals == NULL ? strlen(pair) : (size_t)(equals - pair);
    snprintf(name, sizeof(name), "%.*s", (int)(bytes < sizeof(name) ? bytes : 0), pair);
    if (!pset_set(shell, name, equals == NULL ? NULL : equals + 1)) {
        usage_error();
    }
}

static void set_option(struct shell *shell, struct options *options, int option, const char *value)
{
    if (set_look(shell, option, value)) {
        return;
    }
    switch (option) {
    case 'c':
    case 'f':
        add_action(options, (char)option, value);
        return;
    case 'v':
        set_variable(shell, value);
        return;
    case 'P':
        set_named_look(shell, value);
        return;
    case 'q':
        shell->set.is_quiet = true;
        return;
    case 'a':
        set_variable(shell, "ECHO=all");
        return;
    case 'e':
        set_variable(shell, "ECHO=queries");
        return;
    case 'X':
        options->no_rc = true;
        return;
    case 'o':
        options->output = value;
        return;
    case 'h':
        options->host = value;
        return;
    case 'p':
        options->port = value;
        return;
    case 'U':
        options->user = value;
        return;
    case 'd':
        set_conninfo(options, value);
        return;
    case OPTION_HELP:
        help_options(stdout);
        exit(out_flush(shell) ? EXIT_OK : EXIT_OWN);
    case OPTION_VERSION:
        printf("vsql (vectrond) %s\n", vc_version());
        exit(out_flush(shell) ? EXIT_OK : EXIT_OWN);
    default:
        usage_error();
    }
}

static void parse_options(struct shell *shell, struct options *options, int argc, char **argv)
{
    static const struct option names[] = {{"command", required_argument, NULL, 'c'},
                                          {"file", required_argument, NULL, 'f'},
                                          {"set", required_argument, NULL, 'v'},
                                          {"variable", required_argument, NULL, 'v'},
                                          {"no-rc", no_argument, NULL, 'X'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"echo-all", no_argument, NULL, 'a'},
                                          {"echo-queries", no_argument, NULL, 'e'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"no-align", no_argument, NULL, 'A'},
                                          {"field-separator", required_argument, NULL, 'F'},
                                          {"tuples-only", no_argument, NULL, 't'},
                                          {"expanded", no_argument, NULL, 'x'},
                                          {"pset", required_argument, NULL, 'P'},
                                          {"csv", no_argument, NULL, OPTION_CSV},
                                          {"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"username", required_argument, NULL, 'U'},
                                          {"dbname", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, OPTION_HELP},
                                          {"version", no_argument, NULL, OPTION_VERSION},
                                          {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:f:v:P:Xo:aeqAF:txh:p:U:d:", names, NULL)) != -1) {
        set_option(shell, options, option, optarg);
    }
    if (optind < argc) {
        set_conninfo(options, argv[optind++]);
    }
    if (optind < argc) {
        fprintf(stderr, "vsql: \"%s\" is one argument too many\n", argv[optind]);
        usage_error();
    }
    finish_conninfo(options);
}

/* ---- running ---- */

static void run_rc(struct shell *shell)
{
    const char *home = getenv("HOME");
    char path[SHELL_PATH_BYTES];
    if (home == NULL || snprintf(path, sizeof(path), "%s/.vsqlrc", home) >= (int)sizeof(path)) {
        return;
    }
    if (access(path, R_OK) == 0) {
        source_run_file(shell, path);
    }
}

static void greet(struct shell *shell)
{
    const char *version = vc_parameter_status(shell->conn, "server_version");
    if (shell->set.is_quiet) {
        return;
    }
    printf("vsql %s, server %s at %s%s%s\n", vc_version(), version == NULL ? "?" : version,
           vc_host(shell->conn), vc_host(shell->conn)[0] == '/' ? "" : ":",
           vc_host(shell->conn)[0] == '/' ? "" : vc_port(shell->conn));
    puts("Type \\? for help on commands, \\h on statements, \\q to leave.\n");
}

/* -c and -f, in their order. */
static void run_actions(struct shell *shell, const struct options *options)
{
    for (size_t i = 0; i < options->n_actions && !shell->is_quitting; i++) {
        const struct action *action = &options->actions[i];
        bool is_ok = action->kind == 'c' ? source_run_text(shell, action->text)
                                         : source_run_file(shell, action->text);
        if (!is_ok && shell->exit_code == EXIT_OK && action->kind == 'c') {
            shell->exit_code = EXIT_OWN;
        }
        if (!is_ok && (shell_stops_on_error(shell) || shell->was_interrupted)) {
            return;
        }
    }
}

static void run(struct shell *shell, const struct options *options)
{
    if (!options->no_rc) {
        run_rc(shell);
    }
    if (shell->is_quitting) {
        return;
    }
    if (options->n_actions > 0) {
        run_actions(shell, options);
    } else if (shell->is_interactive) {
        greet(shell);
        shell->edit = edit_new(shell);
        source_run_terminal(shell);
        edit_free(shell->edit);
    } else {
        source_run_file(shell, "-");
    }
}

/* Widths of characters are asked of the locale; one without UTF-8 is replaced for that. */
static void choose_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) {
        setlocale(LC_CTYPE, "C.UTF-8");
    }
}

int main(int argc, char **argv)
{
    static struct options options;
    struct shell shell = {.out = stdout, .set = {.separator = "|"}};
    out_claim_standard_files();
    choose_locale();
    parse_options(&shell, &options, argc, argv);
    shell.conninfo = strdup(options.conninfo);
    CHECK(shell.conninfo != NULL);
    shell.is_interactive =
        options.n_actions == 0 && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
    if (options.output != NULL && !out_open(&shell, options.output)) {
        return EXIT_OWN;
    }
    if (shell_connect(&shell)) {
        interrupt_init(); /* Until here Ctrl-C ends vsql, even while a name is being looked up. */
        run(&shell, &options);
    } else {
        shell.exit_code = EXIT_CONNECTION;
    }
    vc_close(shell.conn);
    bool is_written = out_close(&shell); /* What \o opened, then standard output. */
    if ((!out_close(&shell) || !is_written) && shell.exit_code == EXIT_OK) {
        shell.exit_code = EXIT_OWN;
    }
    vars_free(&shell.vars);
    free(shell.conninfo);
    free(shell.last_vql);
    free(shell.last_error);
    return (int)shell.exit_code;
}
