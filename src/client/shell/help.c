/* Help on statements (\h), made from help.def, and on vsql's options. */
#include "client/shell/shell_int.h"

#include <string.h>
#include <strings.h>

static const struct topic {
    const char *name, *text, *synopsis;
} topics[] = {
#define HELP(name, text, synopsis) {name, text, synopsis},
#include "client/shell/help.def"
#undef HELP
};

const char *help_topic(size_t i)
{
    return i < COUNT_OF(topics) ? topics[i].name : NULL;
}

bool help_statement(FILE *out, const char *topic)
{
    size_t bytes = strlen(topic);
    bool is_found = false;
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        if (bytes == 0) {
            fprintf(out, "  %-20s %s\n", topics[i].name, topics[i].text);
        } else if (strncasecmp(topics[i].name, topic, bytes) == 0) {
            fprintf(out, "%s: %s\n\n%s\n\n", topics[i].name, topics[i].text, topics[i].synopsis);
        } else {
            continue;
        }
        is_found = true;
    }
    return is_found;
}

void help_options(FILE *out)
{
    fputs("vsql is the shell of vectrond.\n"
          "\n"
          "Usage: vsql [OPTION]... [URI | key=value...]\n"
          "\n"
          "  -c, --command=TEXT    run TEXT, then leave (may be given several times, as may -f)\n"
          "  -f, --file=FILE       run FILE, then leave; - is standard input\n"
          "  -v, --set=NAME=VALUE  set a variable (ON_ERROR_STOP=on ends a script at an error)\n"
          "  -X, --no-rc           do not read ~/.vsqlrc\n"
          "  -o, --output=FILE     send results to FILE, or to |COMMAND\n"
          "  -a, --echo-all        print each line of input\n"
          "  -e, --echo-queries    print each statement\n"
          "  -P, --pset=NAME=VALUE set how results look, as \\pset does\n"
          "  -q, --quiet           no remarks, no command tags\n"
          "  -A, --no-align        unaligned output\n"
          "  -F, --field-separator=TEXT  between the columns of unaligned output (|)\n"
          "  -t, --tuples-only     rows only, without headers\n"
          "  -x, --expanded        a line a column\n"
          "      --csv             comma-separated values\n"
          "\n"
          "  -h, --host=HOST       the server's host, or the path of its Unix socket (127.0.0.1)\n"
          "  -p, --port=PORT       the server's port (7432)\n"
          "  -U, --username=NAME   the user's name\n"
          "  -d, --dbname=TEXT     a URI (vectron://user@host:7432/?application_name=x) or\n"
          "                        key=value pairs; policies of the session may stand among them\n"
          "\n"
          "      --help            this text\n"
          "      --version         the version\n"
          "\n"
          "Exit codes: 0 well, 1 an error of vsql's own or of -c, 2 no connection,\n"
          "3 an error in a script while ON_ERROR_STOP is on.\n",
          out);
}
