/* Long results go through $VSQL_PAGER or $PAGER (less where neither is set; "" for none), if the
 * output is a terminal that a person looks at. */
#define _XOPEN_SOURCE 700
#include "client/shell/shell_int.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void screen_size(unsigned *rows, unsigned *columns)
{
    struct winsize size = {0};
    *rows = 24;
    *columns = 80;
    if ((ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ||
         ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) &&
        size.ws_col > 0 && size.ws_row > 0) {
        *rows = size.ws_row;
        *columns = size.ws_col;
    }
}

FILE *pager_open(struct shell *shell, size_t lines, unsigned columns)
{
    unsigned screen_rows, screen_columns;
    screen_size(&screen_rows, &screen_columns);
    bool fits = lines < screen_rows && columns <= screen_columns;
    if (!shell->is_interactive || shell->out != stdout || !isatty(STDOUT_FILENO) ||
        shell->set.pager == PAGER_OFF || (shell->set.pager == PAGER_ON && fits)) {
        return shell->out;
    }
    const char *pager = getenv("VSQL_PAGER");
    if (pager == NULL) {
        pager = getenv("PAGER");
    }
    if (pager == NULL) {
        pager = "less";
    }
    if (pager[0] == '\0') {
        return shell->out;
    }
    setenv("LESS", "-FRSX", 0); /* Wide tables scroll sideways; one screen does not wait. */
    fflush(stdout);
    FILE *file = popen(pager, "w");
    return file == NULL ? shell->out : file;
}

void pager_close(struct shell *shell, FILE *file)
{
    if (file == shell->out) {
        return;
    }
    pclose(file);
    interrupt_take(); /* Ctrl-C was for the pager. */
}
