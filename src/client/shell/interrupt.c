/* Ctrl-C, as something to poll: the handler writes a byte to a pipe.
 *
 * The pipe is the one piece of global state of vsql: a signal handler can reach nothing else. */
#include "client/shell/shell_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int interrupt_pipe[2] = {-1, -1};

static void on_interrupt(int signal)
{
    (void)signal;
    int saved = errno;
    ssize_t n = write(interrupt_pipe[1], "", 1); /* A full pipe says enough already. */
    (void)n;
    errno = saved;
}

/* Writing to a pager that was left early is an error of that write and no more.  A handler, and not
 * SIG_IGN, because the commands that vsql starts would inherit that. */
static void on_broken_pipe(int signal)
{
    (void)signal;
}

void interrupt_init(void)
{
    CHECK(pipe(interrupt_pipe) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(fcntl(interrupt_pipe[i], F_SETFL, O_NONBLOCK) == 0);
        CHECK(fcntl(interrupt_pipe[i], F_SETFD, FD_CLOEXEC) == 0);
    }
    /* Without SA_RESTART, so that reading a line from the terminal ends. */
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    action.sa_handler = on_broken_pipe;
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
}

bool interrupt_take(void)
{
    char bytes[64];
    bool was_interrupted = false;
    while (read(interrupt_pipe[0], bytes, sizeof(bytes)) > 0) {
        was_interrupted = true;
    }
    return was_interrupted;
}

int interrupt_fd(void)
{
    return interrupt_pipe[0];
}
