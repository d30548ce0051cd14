/* Starts and ends a vectrond; its log goes to a file beside its data, where a person may look. */
#include "server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_SECONDS_MAX = 60
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_server(const struct server *s)
{
    int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        _exit(127);
    }
    if (s->faults != NULL && setenv("VECTROND_FAULTS", s->faults, 1) != 0) {
        _exit(127);
    }
    /* Small bounds, so that flushes, cuts and checkpoints happen all the time. */
    execl(s->program, s->program, "--data", s->directory, "--listen", "127.0.0.1:0", "--set",
          "admin_listen=", "--set", "flush_interval=20ms", "--set", "flush_bytes=256KiB", "--set",
          "checkpoint_interval=100ms", (char *)NULL);
    _exit(127);
}

/* The address in the last "ready" line behind @from, or false. */
static bool find_address(const char *log, long from, char address[64])
{
    char line[4096];
    bool found = false;
    FILE *file = fopen(log, "r");
    if (file == NULL || fseek(file, from, SEEK_SET) != 0) {
        if (file != NULL) {
            fclose(file);
        }
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, "ready address=");
        if (at != NULL && strchr(line, '\n') != NULL) {
            found = sscanf(at, "ready address=%63s", address) == 1;
        }
    }
    fclose(file);
    return found;
}

bool server_has_died(struct server *s)
{
    int status;
    if (s->pid != 0 && waitpid(s->pid, &status, WNOHANG) == s->pid) {
        s->pid = 0;
    }
    return s->pid == 0;
}

bool server_start(struct server *s)
{
    struct stat st;
    long from =
        stat(s->log, &st) == 0 ? (long)st.st_size : 0; /* Behind what earlier starts said. */
    double start = now();
    s->pid = fork();
    if (s->pid == 0) {
        run_server(s);
    }
    if (s->pid < 0) {
        s->pid = 0;
        return false;
    }
    while (!find_address(s->log, from, s->address)) {
        if (server_has_died(s)) {
            return false;
        }
        if (now() - start > READY_SECONDS_MAX) {
            server_kill(s);
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    s->ready_seconds = now() - start;
    return true;
}

void server_kill(struct server *s)
{
    if (s->pid != 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

int server_stop(struct server *s)
{
    int status = 0;
    if (s->pid == 0) {
        return -1;
    }
    kill(s->pid, SIGTERM);
    waitpid(s->pid, &status, 0);
    s->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
