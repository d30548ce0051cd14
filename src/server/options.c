/* The command line of vectrond. */
#include "server/server.h"

#include <getopt.h>
#include <stdio.h>

enum {
    OPTION_DATA = 1000,
    OPTION_MODE,
    OPTION_LISTEN,
    OPTION_SET,
    OPTION_CONFIG,
    OPTION_CHECK,
    OPTION_VERSION,
    OPTION_HELP,
};

static const struct {
    struct option option;
    const char *value, *text;
} rows[] = {
    {{"data", required_argument, NULL, OPTION_DATA}, "DIR", "directory of the data (./data)"},
    {{"mode", required_argument, NULL, OPTION_MODE}, "MODE", "what this process is: "},
    {{"listen", required_argument, NULL, OPTION_LISTEN}, "HOST:PORT", "as --set listen=HOST:PORT"},
    {{"set", required_argument, NULL, OPTION_SET}, "NAME=VALUE", "sets a policy, over the file"},
    {{"config", required_argument, NULL, OPTION_CONFIG}, "FILE", "reads policies from FILE"},
    {{"check", no_argument, NULL, OPTION_CHECK}, "", "prints the configuration, tries a start"},
    {{"version", no_argument, NULL, OPTION_VERSION}, "", "prints the version and leaves"},
    {{"help", no_argument, NULL, OPTION_HELP}, "", "prints this and leaves"},
};

void options_help(struct buf *b)
{
    buf_printf(b, "vectrond is a vector database server.\n\nUsage:\n  vectrond [OPTION]...\n\n"
                  "Options:\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char left[40];
        snprintf(left, sizeof left, "--%s %s", rows[i].option.name, rows[i].value);
        buf_printf(b, "  %-22s %s", left, rows[i].text);
        if (rows[i].option.val == OPTION_MODE) {
            mode_names(b);
        }
        buf_printf(b, "\n");
    }
    buf_printf(b, "\nSIGTERM ends it well, SIGHUP makes it read the configuration again.\n");
}

static enum errcode take(struct server_options *o, int option, const char *value, struct err *err)
{
    switch (option) {
    case OPTION_DATA:
        o->data = value;
        break;
    case OPTION_MODE:
        o->mode = value;
        break;
    case OPTION_LISTEN:
        o->listen = value;
        break;
    case OPTION_CONFIG:
        o->config_file = value;
        break;
    case OPTION_CHECK:
        o->is_check = true;
        break;
    case OPTION_VERSION:
        o->is_version = true;
        break;
    case OPTION_HELP:
        o->is_help = true;
        break;
    default:
        CHECK(option == OPTION_SET);
        if (o->n_set == OPTIONS_SET_MAX) {
            return err_set(err, ERR_BAD_CONFIG, "--set is given more than %d times",
                           OPTIONS_SET_MAX);
        }
        o->set[o->n_set++] = value;
        break;
    }
    return ERR_OK;
}

/* getopt_long said no to this word: it is unknown, ambiguous, or lacks its value. */
static enum errcode refuse(const char *word, int status, struct err *err)
{
    const char *names[COUNT_OF(rows)];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        names[i] = rows[i].option.name;
    }
    if (status == ':') {
        err_set(err, ERR_BAD_CONFIG, "option %s needs a value", word);
        err_hint(err, "Run vectrond --help for the options.");
        return ERR_BAD_CONFIG;
    }
    err_set(err, ERR_BAD_CONFIG, "unknown option \"%s\"", word);
    const char *nearest =
        word[0] == '-' && word[1] == '-' ? err_nearest(word + 2, names, COUNT_OF(names)) : NULL;
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant --%s.", nearest);
    } else {
        err_hint(err, "Run vectrond --help for the options.");
    }
    return ERR_BAD_CONFIG;
}

enum errcode options_read(struct server_options *out, int argc, char **argv, struct err *err)
{
    struct option table[COUNT_OF(rows) + 1] = {{0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        table[i] = rows[i].option;
    }
    *out = (struct server_options){.data = "data", .mode = MODE_DEFAULT};
    optind = 0; /* Begin anew, whoever has used getopt before. */
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int option = getopt_long(argc, argv, "+:", table, NULL);
        if (option == -1) {
            break;
        }
        if (option == '?' || option == ':') {
            return refuse(at < argc ? argv[at] : "", option, err);
        }
        bool must_be_something = option == OPTION_DATA || option == OPTION_CONFIG;
        if (must_be_something && optarg[0] == '\0') {
            return refuse(option == OPTION_DATA ? "--data" : "--config", ':', err);
        }
        if (take(out, option, optarg, err) != ERR_OK) {
            return err->code;
        }
    }
    if (optind < argc) {
        return refuse(argv[optind], '?', err);
    }
    return ERR_OK;
}
