/* A vectrond under test: started, killed, waited for. */
#ifndef TEST_CRASH_SERVER_H
#define TEST_CRASH_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct server {
    const char *program;   /* vectrond */
    const char *directory; /* Its data. */
    const char *log;       /* What it says; not on a disk that a test fills. */
    const char *faults;    /* VECTROND_FAULTS, or NULL. */
    pid_t pid;             /* 0 where it does not run. */
    char address[64];      /* HOST:PORT */
    double ready_seconds;  /* From the start to "ready". */
};

/* Waits until it is ready; false where it ends before. */
bool server_start(struct server *server);
void server_kill(struct server *server);     /* kill -9, and waits. */
int server_stop(struct server *server);      /* SIGTERM; its exit code, or -1 for a signal. */
bool server_has_died(struct server *server); /* Without being asked; does not wait. */

#endif
