/* The next line of a source: of the terminal, a file, or the text of -c. */
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"

#include <errno.h>
#include <string.h>

static const char *read_file(struct shell *shell, struct source *source)
{
    ssize_t n = getline(&source->line_text, &source->line_room, source->file);
    if (n < 0) {
        int failure = errno;
        shell->was_interrupted = shell->was_interrupted || interrupt_take();
        if (ferror(source->file) && !shell->was_interrupted) {
            source->has_failed = true;
            shell_complain(shell, "reading the input: %s", strerror(failure));
        }
        return NULL;
    }
    n -= source->line_text[n - 1] == '\n';
    while (!source->is_data && n > 0 && source->line_text[n - 1] == '\r') {
        n--;
    }
    source->line_text[n] = '\0';
    source->line_bytes = (size_t)n;
    return source->line_text;
}

const char *source_read(struct shell *shell, struct source *source, const char *prompt)
{
    bool is_terminal = source->file == NULL;
    const char *line = is_terminal ? edit_line(shell->edit, prompt, &shell->was_interrupted)
                                   : read_file(shell, source);
    if (line != NULL) {
        source->line++;
        const char *echo = vars_get(shell->vars, "ECHO");
        if (echo != NULL && strcmp(echo, "all") == 0 && !is_terminal) {
            fprintf(shell->out, "%s\n", line);
            fflush(shell->out); /* A failure is told behind the statement. */
        }
    }
    return line;
}
