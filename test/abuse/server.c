/* Starts a server of its own on a free port, and watches it. */
#define _GNU_SOURCE /* prlimit */
#include "abuse.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

unsigned server_port;

static pid_t server;
static atomic_uint n_refused;
static struct thread log_thread;
static char directory[64];

/* The port of the line that says that it serves. */
static bool find_port(FILE *log)
{
    char line[1024];
    while (fgets(line, sizeof line, log) != NULL) {
        const char *ready = strstr(line, " ready address=127.0.0.1:");
        if (ready != NULL) {
            return sscanf(ready, " ready address=127.0.0.1:%u", &server_port) == 1;
        }
        fputs(line, stdout);
    }
    return false;
}

/* A full pipe would stop the server at its next line.  Reports of a sanitizer are shown. */
static void drain_log(void *arg)
{
    FILE *log = arg;
    char line[1024];
    while (fgets(line, sizeof line, log) != NULL) {
        if (strstr(line, "Z info ") == NULL) {
            fputs(line, stdout);
        }
        if (strstr(line, "configuration refused") != NULL) {
            atomic_fetch_add(&n_refused, 1);
        }
    }
    fclose(log);
}

enum {
    CONFIG_PATH_BYTES = 128
};

static void config_path(char path[CONFIG_PATH_BYTES])
{
    snprintf(path, CONFIG_PATH_BYTES, "%s/vectrond.conf", directory);
}

/* The server, which may read at any time, finds the old file or the new one. */
static bool write_config(const char *text)
{
    char path[CONFIG_PATH_BYTES], fresh[CONFIG_PATH_BYTES + 4];
    config_path(path);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *f = fopen(fresh, "w");
    return f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 && rename(fresh, path) == 0;
}

static void become_server(const char *program, int log_fd)
{
    char timeout[64], frame[64], sessions[64], config[CONFIG_PATH_BYTES], data[CONFIG_PATH_BYTES];
    snprintf(data, sizeof data, "%s/data", directory);
    config_path(config);
    snprintf(timeout, sizeof timeout, "client_timeout=%dms", CLIENT_TIMEOUT_MS);
    snprintf(frame, sizeof frame, "frame_max=%d", FRAME_MAX);
    snprintf(sessions, sizeof sessions, "max_connections=%d", SESSIONS_MAX);
    dup2(log_fd, STDERR_FILENO);
    /* What is freed and kept to find uses of it later is no growth of the server's. */
    setenv("ASAN_OPTIONS", "quarantine_size_mb=8:thread_local_quarantine_size_kb=64", 0);
    execl(program, program, "--data", data, "--config", config, "--listen", "127.0.0.1:0", "--set",
          "admin_listen=", "--set", timeout, "--set", frame, "--set", sessions, "--set",
          "output_max=256KiB", "--set", "net_threads=2", (char *)NULL);
    _exit(127);
}

bool server_start(const char *program)
{
    int log[2];
    snprintf(directory, sizeof directory, "/tmp/vectrond-abuse-XXXXXX");
    if (mkdtemp(directory) == NULL || pipe(log) == -1 || !write_config("limit_max = 10000\n")) {
        return false;
    }
    server = fork();
    if (server == 0) {
        close(log[0]);
        become_server(program, log[1]);
    }
    close(log[1]);
    FILE *stream = fdopen(log[0], "r");
    struct err err;
    return server > 0 && stream != NULL && find_port(stream) &&
           thread_start(&log_thread, "log", drain_log, stream, &err) == ERR_OK;
}

bool server_reload(const char *config)
{
    return write_config(config) && kill(server, SIGHUP) == 0;
}

unsigned server_reloads_refused(void)
{
    return atomic_load(&n_refused);
}

bool server_let_open(unsigned more)
{
    static struct rlimit whole;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)server);
    if (more == 0) {
        return prlimit(server, RLIMIT_NOFILE, &whole, NULL) == 0;
    }
    DIR *files = opendir(path);
    if (files == NULL || prlimit(server, RLIMIT_NOFILE, NULL, &whole) != 0) {
        return false;
    }
    struct rlimit limit = whole;
    limit.rlim_cur = more;
    for (struct dirent *entry; (entry = readdir(files)) != NULL;) {
        limit.rlim_cur += entry->d_name[0] != '.';
    }
    closedir(files);
    return prlimit(server, RLIMIT_NOFILE, &limit, NULL) == 0;
}

/* Once: a second one would make it hurry. */
void server_terminate(void)
{
    static bool is_told;
    if (!is_told) {
        is_told = true;
        kill(server, SIGTERM);
    }
}

bool server_lives(void)
{
    return server > 0 && waitpid(server, NULL, WNOHANG) == 0;
}

int server_stop(void)
{
    int status = -1;
    server_terminate();
    for (int i = 0; i < 3000; i++) {
        if (waitpid(server, &status, WNOHANG) == server) {
            break;
        }
        status = -1;
        clock_sleep_micros(10000);
    }
    if (status == -1) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    if (server_port != 0) {
        thread_join(&log_thread); /* It ends with the server's end of the pipe. */
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0) {
        printf("    %s could not be removed\n", directory);
    }
    return status == -1 || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

size_t server_resident_bytes(void)
{
    char path[64], line[256];
    size_t kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)server);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "VmRSS: %zu", &kib) == 1) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib << 10;
}
