/* Where results go: standard output, a file, or a command (\o, -o), and whether they got there.
 *
 * stdio remembers that a write failed until it is asked: out_flush asks behind each statement and
 * each command.  What could not be written is an error as any other; where it was standard output
 * of a script, nobody would see the rest, so that the script ends there. */
#define _XOPEN_SOURCE 700
#include "client/shell/shell_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void out_claim_standard_files(void)
{
    /* A closed one would be given to the next file or socket, and be written to as what it was.
     * Opened the wrong way round, its use fails. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        while (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
                _exit(EXIT_OWN);
            }
        }
    }
}

/* True where what was written so far has arrived; else it is told, once. */
bool out_flush(struct shell *shell)
{
    FILE *out = shell->out;
    bool had_failed = ferror(out) != 0;
    errno = 0;
    if (fflush(out) == 0 && !had_failed) {
        return true;
    }
    int failure = errno;
    clearerr(out);
    if (shell->out_is_pipe && failure == EPIPE) {
        return true; /* The command has seen enough. */
    }
    bool is_unknown = failure == 0 && (shell->was_interrupted || interrupt_take());
    if (failure == EINTR || is_unknown) {
        shell->was_interrupted = true; /* Ctrl-C in the middle of it. */
        return false;
    }
    if (out == stdout && !shell->is_interactive) {
        shell->is_quitting = true;
    }
    if (shell->exit_code == EXIT_OK) {
        shell->exit_code = EXIT_OWN;
    }
    return shell_complain(shell, "writing the results: %s",
                          failure != 0 ? strerror(failure) : "the output is not complete");
}

bool out_close(struct shell *shell)
{
    FILE *file = shell->out;
    bool is_ok = out_flush(shell), is_pipe = shell->out_is_pipe;
    shell->out = stdout;
    shell->out_is_pipe = false;
    if (file == stdout) {
        return is_ok;
    }
    int status = is_pipe ? pclose(file) : fclose(file);
    if (is_pipe && status > 0) {
        return WIFEXITED(status) ? shell_complain(shell, "\\o: the command ended with status %d",
                                                  WEXITSTATUS(status))
                                 : shell_complain(shell, "\\o: the command was killed by signal %d",
                                                  WTERMSIG(status));
    }
    return status == 0 ? is_ok : shell_complain(shell, "\\o: %s", strerror(errno));
}

bool out_open(struct shell *shell, const char *target)
{
    bool is_pipe = target[0] == '|';
    fflush(stdout); /* The command may write there too. */
    FILE *file = is_pipe ? popen(target + 1, "w") : fopen(target, "w");
    if (file == NULL) {
        return is_pipe ? shell_complain(shell, "%s: %s", target, strerror(errno))
                       : shell_complain_file(shell, target, SHELL_WRITES);
    }
    bool is_ok = out_close(shell);
    shell->out = file;
    shell->out_is_pipe = is_pipe;
    return is_ok;
}
