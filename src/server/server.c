/* One process: its threads, what it listens on, and how it ends.
 *
 *   main thread        signals, listeners, the HTTP page; hands accepted sockets round
 *   start              opens what the mode has, and is gone when the server is ready
 *   network threads    a loop each, with the sessions that were given to it
 *   (of the mode)      log, apply, work, background
 *
 *   SIGTERM, SIGINT    the listeners close; sessions that do nothing are told 57P01 and closed;
 *                      running statements have DRAIN_US to end, then they are canceled, and
 *                      CUT_US later every connection is closed.  A second signal cancels at once.
 *                      Then the mode stops: flush, checkpoints.  A signal during that ends the
 *                      process on the spot, which loses nothing that was acknowledged.
 *   SIGHUP             the configuration is read again
 *
 * Recovery may take minutes.  The ports are bound before it, and who connects meanwhile is told
 * NOT_READY; a signal ends the process then and there, which loses nothing, and a SIGHUP waits.
 *
 * Other threads are spoken to by posts alone. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/server_int.h"

enum {
    DRAIN_US = 10000000,
    CUT_US = 1000000,
    HANDSHAKES_MAX = 10000, /* Connections that are not admitted yet; more wait in the kernel. */
    ACCEPT_RETRY_US = 50000,
    NET_THREADS_MAX = 64,
    FAREWELL_BYTES_MAX = 4096,
};

/* One network thread as the main thread sees it. */
struct served {
    struct net_thread net;
    struct server *server;
    struct loop_post drain, cancel, close; /* To the thread, once each. */
    struct loop_post drained;              /* Back, once. */
    bool is_drained_told;                  /* On the thread. */
};

struct server {
    const struct server_options *options;
    const struct mode *mode;
    struct directory directory;
    struct process process;
    /* The one in force, and the one before it, which others may be reading a little longer. */
    struct config configs[2];
    unsigned config_at;

    struct session_host host;
    struct loop *loop;
    struct ports ports;
    struct buf farewell; /* For whom there is no descriptor; the listeners borrow it. */
    struct timer *accept_timer, *drain_timer;
    struct served served[NET_THREADS_MAX];
    unsigned n_served, next_served, n_drained;
    bool is_draining, is_canceled;

    /* From the thread "start" to the loop: what became of the mode's start. */
    struct thread starter;
    struct loop_post started;
    enum errcode start_code;
    struct err start_err;
    bool is_ready, wants_reload;
};

static const struct config *config_now(const struct server *server)
{
    return &server->configs[server->config_at];
}

static struct policy_view view_of(const struct config *config)
{
    return (struct policy_view){.levels = {[LEVEL_FILE] = &config->policies}};
}

/* ---- network threads ---- */

static void run_net_thread(void *arg)
{
    struct served *served = arg;
    loop_run(served->net.loop);
}

static void drain_net_thread(void *arg)
{
    sessions_drain(arg);
}

static void cancel_net_thread(void *arg)
{
    sessions_cancel(arg);
}

static void close_net_thread(void *arg)
{
    sessions_close(arg);
}

static void count_drained(void *arg)
{
    struct server *server = arg;
    if (++server->n_drained == server->n_served) {
        loop_stop(server->loop);
    }
}

/* On the network thread: it has no session any more. */
static void tell_drained(void *arg)
{
    struct served *served = arg;
    if (!served->is_drained_told) {
        served->is_drained_told = true;
        loop_post(served->server->loop, &served->drained);
    }
}

static struct session_limits limits_of(const struct config *config)
{
    struct policy_view view = view_of(config);
    return (struct session_limits){
        .frame_bytes_max = (size_t)policy_int(&view, POLICY_frame_max),
        .output_bytes_max = (size_t)policy_int(&view, POLICY_output_max),
        .timeout_us = (uint64_t)policy_int(&view, POLICY_client_timeout),
    };
}

static enum errcode start_net_thread(struct server *server, struct err *err)
{
    struct served *served = &server->served[server->n_served];
    *served = (struct served){.server = server};
    served->net.host = &server->host;
    served->net.limits = limits_of(config_now(server));
    served->net.drained = tell_drained;
    served->net.arg = served;
    served->drain = (struct loop_post){.fn = drain_net_thread, .arg = &served->net};
    served->cancel = (struct loop_post){.fn = cancel_net_thread, .arg = &served->net};
    served->close = (struct loop_post){.fn = close_net_thread, .arg = &served->net};
    served->drained = (struct loop_post){.fn = count_drained, .arg = server};
    served->net.loop = loop_new(err);
    if (served->net.loop == NULL) {
        return err->code;
    }
    struct policy_view view = view_of(config_now(server));
    loop_set_busy_poll(served->net.loop, (uint64_t)policy_int(&view, POLICY_busy_poll));
    if (thread_start(&served->net.thread, "net", run_net_thread, served, err) != ERR_OK) {
        loop_free(served->net.loop);
        return err->code;
    }
    server->n_served++;
    return ERR_OK;
}

static enum errcode start_net_threads(struct server *server, struct err *err)
{
    struct policy_view view = view_of(config_now(server));
    struct policy_value value = policy_get(&view, POLICY_net_threads, NULL);
    unsigned n = value.is_auto ? thread_cores() : (unsigned)value.integer;
    n = n < NET_THREADS_MAX ? n : NET_THREADS_MAX;
    while (server->n_served < n) {
        if (start_net_thread(server, err) != ERR_OK) {
            return err->code;
        }
    }
    return ERR_OK;
}

static void stop_net_threads(struct server *server)
{
    for (unsigned i = 0; i < server->n_served; i++) {
        struct net_thread *net = &server->served[i].net;
        loop_stop(net->loop);
        thread_join(&net->thread);
        CHECK(net->sessions == NULL);
        loop_free(net->loop);
    }
    server->n_served = 0;
}

/* ---- accepting ---- */

static bool has_room(const struct server *server)
{
    unsigned admitted_max = atomic_load(&server->host.n_admitted_max);
    return atomic_load(&server->host.n_connections) < admitted_max + HANDSHAKES_MAX;
}

static void retry_accept(void *arg)
{
    struct server *server = arg;
    if (has_room(server)) {
        ports_pause(&server->ports, false);
    } else {
        timer_set(server->accept_timer, ACCEPT_RETRY_US);
    }
}

static void accepted(void *arg, int fd, const char *peer)
{
    struct server *server = arg;
    (void)peer;
    struct served *served = &server->served[server->next_served];
    server->next_served = (server->next_served + 1) % server->n_served;
    session_accept(&served->net, fd);
    if (!has_room(server)) {
        log_line(LOG_WARNING, "listeners wait for start-ups connections=%u",
                 atomic_load(&server->host.n_connections));
        ports_pause(&server->ports, true);
        timer_set(server->accept_timer, ACCEPT_RETRY_US);
    }
}

static int serve_page(void *arg, const char *path, struct buf *body, const char **content_type)
{
    const struct server *server = arg;
    if (strcmp(path, "/metrics") == 0) {
        *content_type = "text/plain; version=0.0.4; charset=utf-8";
        metric_export(body);
        return 200;
    }
    if (strcmp(path, "/health") == 0) {
        bool is_serving = server->is_ready && !server->is_draining;
        buf_printf(body, "%s\n", server->is_draining ? "stopping" : is_serving ? "ok" : "starting");
        return is_serving ? 200 : 503;
    }
    buf_printf(body, "There are /metrics and /health.\n");
    return 404;
}

/* ---- the configuration ---- */

static void apply_config(struct server *server)
{
    struct policy_view view = view_of(config_now(server));
    log_set_level((enum log_level)policy_int(&view, POLICY_log_level));
    atomic_store(&server->host.n_admitted_max, (unsigned)policy_int(&view, POLICY_max_connections));
}

/* Limits on their way to a network thread. */
struct limits_post {
    struct loop_post post;
    struct net_thread *net;
    struct session_limits limits;
};

static void take_limits(void *arg)
{
    struct limits_post *p = arg;
    sessions_limit(p->net, &p->limits);
    mem_free(MEM_SESSION, p);
}

static void post_limits(struct server *server)
{
    for (unsigned i = 0; i < server->n_served; i++) {
        struct limits_post *p = mem_zalloc(MEM_SESSION, sizeof *p);
        if (p == NULL) {
            log_line(LOG_ERROR, "no memory to tell the sessions of their new limits");
            return;
        }
        p->net = &server->served[i].net;
        p->limits = limits_of(config_now(server));
        p->post = (struct loop_post){.fn = take_limits, .arg = p};
        loop_post(p->net->loop, &p->post);
    }
}

static void log_change(enum policy_id id, const struct config *old, const struct config *new)
{
    struct policy_view old_view = view_of(old), new_view = view_of(new);
    struct policy_value old_value = policy_get(&old_view, id, NULL);
    struct policy_value new_value = policy_get(&new_view, id, NULL);
    char old_buffer[POLICY_TEXT_BYTES], new_buffer[POLICY_TEXT_BYTES];
    const char *old_text = policy_format(old_buffer, id, &old_value);
    const char *new_text = policy_format(new_buffer, id, &new_value);
    if (strcmp(old_text, new_text) != 0) {
        bool is_now = policy_row(id)->apply == APPLY_NOW;
        log_line(is_now ? LOG_INFO : LOG_WARNING, "%s policy=%s old=%s new=%s",
                 is_now ? "configuration changed" : "configuration change needs a restart",
                 policy_row(id)->name, old_text, new_text);
    }
}

/* What no parser of a configuration can see: whether it can be honoured here. */
static enum errcode check_config(const struct server *server, const struct config *config,
                                 struct err *err)
{
    struct policy_view view = view_of(config);
    struct policy_value directory = policy_get(&view, POLICY_copy_directory, NULL);
    return copy_directory_check(directory.text, server->options->data, err);
}

static void reload(struct server *server)
{
    struct err err;
    unsigned next = 1 - server->config_at;
    struct config *config = &server->configs[next];
    if (config_load(server->options, config, &err) != ERR_OK ||
        check_config(server, config, &err) != ERR_OK) {
        log_err(LOG_ERROR, &err, "configuration refused, the old one stays");
        return;
    }
    for (int id = 0; id < POLICY_COUNT; id++) {
        if ((policy_row((enum policy_id)id)->scopes & SCOPE_FILE) != 0) {
            log_change((enum policy_id)id, config_now(server), &server->configs[next]);
        }
    }
    server->config_at = next;
    apply_config(server);
    post_limits(server);
    server->mode->reload(&server->process, &config_now(server)->policies);
    log_line(LOG_INFO, "configuration read again");
}

/* ---- signals and the end ---- */

static void cut(void *arg)
{
    struct server *server = arg;
    if (!server->is_canceled) {
        log_line(LOG_WARNING, "running statements are canceled");
        server->is_canceled = true;
        for (unsigned i = 0; i < server->n_served; i++) {
            loop_post(server->served[i].net.loop, &server->served[i].cancel);
        }
        timer_set(server->drain_timer, CUT_US);
        return;
    }
    log_line(LOG_WARNING, "open connections are closed");
    for (unsigned i = 0; i < server->n_served; i++) {
        loop_post(server->served[i].net.loop, &server->served[i].close);
    }
}

static void drain(struct server *server)
{
    server->is_draining = true;
    timer_clear(server->accept_timer);
    ports_close_clients(&server->ports);
    for (unsigned i = 0; i < server->n_served; i++) {
        loop_post(server->served[i].net.loop, &server->served[i].drain);
    }
    timer_set(server->drain_timer, DRAIN_US);
}

/* Nothing was acknowledged yet, and what recovery does can be done again: nobody waits for it. */
static void die_while_starting(struct server *server, int number)
{
    log_line(LOG_INFO, "ends before it was ready signal=%d", number);
    ports_close(&server->ports);
    signal(number, SIG_DFL);
    (void)raise(number);
}

static void on_signal(int number, void *arg)
{
    struct server *server = arg;
    if (number == SIGHUP) {
        if (!server->is_ready) {
            server->wants_reload = true;
        } else if (!server->is_draining) {
            reload(server);
        }
        return;
    }
    if (!server->is_ready && !server->is_draining) {
        die_while_starting(server, number);
    }
    log_line(LOG_INFO, "shutting down signal=%d", number);
    if (!server->is_draining) {
        drain(server);
    } else if (!server->is_canceled) {
        cut(server);
    }
}

/* ---- the whole ---- */

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            log_line(LOG_WARNING, "the limit of open files could not be raised");
        }
    }
}

static enum errcode open_loop(struct server *server, struct err *err)
{
    buf_init(&server->farewell, MEM_NETWORK, FAREWELL_BYTES_MAX);
    server->loop = loop_new(err);
    if (server->loop == NULL) {
        return err->code;
    }
    server->accept_timer = timer_new(server->loop, retry_accept, server);
    server->drain_timer = timer_new(server->loop, cut, server);
    if (server->accept_timer == NULL || server->drain_timer == NULL) {
        return err_no_memory(err);
    }
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        if (!loop_on_signal(server->loop, signals[i], on_signal, server)) {
            return err_no_memory(err);
        }
    }
    return ERR_OK;
}

static void close_loop(struct server *server)
{
    ports_close(&server->ports);
    buf_fini(&server->farewell);
    timer_free(server->accept_timer);
    timer_free(server->drain_timer);
    loop_free(server->loop);
}

/* ---- starting ---- */

static void log_addresses(const struct server *server, const char *what)
{
    const struct ports *p = &server->ports;
    log_line(LOG_INFO, "%s address=%s socket=%s admin=%s mode=%s data=%s version=%s pid=%ld", what,
             ports_clients(p), ports_local(p), ports_page(p), server->mode->name,
             server->options->data, VECTROND_VERSION, (long)getpid());
}

static void warn(const struct server *server)
{
    struct rlimit limit;
    unsigned n_max = atomic_load(&server->host.n_admitted_max);
    if (geteuid() == 0) {
        log_line(LOG_WARNING, "the server runs as root and need not "
                              "hint=\"Give the data directory to a user of its own, and run it as "
                              "that user.\"");
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n_max) {
        log_line(LOG_WARNING,
                 "fewer files may be open than max_connections limit=%llu max_connections=%u "
                 "hint=\"Raise the limit (ulimit -n), or lower max_connections.\"",
                 (unsigned long long)limit.rlim_cur, n_max);
    }
    ports_warn(&server->ports);
}

/* The thread "start". */
static void start_mode(void *arg)
{
    struct server *server = arg;
    server->start_code = server->mode->start(&server->process, server->options->data,
                                             &config_now(server)->policies, &server->start_err);
    loop_post(server->loop, &server->started);
}

static void started(void *arg)
{
    struct server *server = arg;
    if (server->start_code != ERR_OK) {
        drain(server);
        for (unsigned i = 0; i < server->n_served; i++) {
            loop_post(server->served[i].net.loop, &server->served[i].close);
        }
        return;
    }
    atomic_store(&server->host.db, server->process.db);
    server->is_ready = true;
    log_addresses(server, "ready");
    if (server->wants_reload) {
        reload(server);
    }
}

/* Made beforehand: it is needed when hardly anything can be had. */
static enum errcode make_farewell(struct server *server, struct err *err)
{
    struct err away;
    err_set(&away, ERR_TOO_MANY_CONNECTIONS,
            "the server has too many files open for a session more");
    err_hint(&away, "Close sessions, or raise the server's limit of open files (ulimit -n).");
    wire_write_error(&server->farewell, WIRE_ERROR, "FATAL", &away);
    return server->farewell.failed ? err_no_memory(err) : ERR_OK;
}

/* Makes the data directory between the two, unless this is a --check. */
static enum errcode open_ports(struct server *server, struct err *err)
{
    struct port_events events = {
        .accepted = accepted, .page = serve_page, .arg = server, .farewell = &server->farewell};
    const struct config *config = config_now(server);
    enum errcode code = make_farewell(server, err);
    if (code == ERR_OK) {
        code = ports_open(&server->ports, server->loop, &events, config, err);
    }
    if (code == ERR_OK && !server->ports.is_probe) {
        code = directory_open(&server->directory, server->options->data, err);
    }
    if (code == ERR_OK) {
        code = ports_open_local(&server->ports, server->loop, &events, config, err);
    }
    return code;
}

/* An address space that cannot be had would be told by LMDB as want of memory. */
static enum errcode check_address_space(const struct mode *mode, struct err *err)
{
    void *mapped =
        mmap(NULL, mode->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
        err_set_errno(err, ERR_OUT_OF_MEMORY, errno, "no address space for the log, %zu GiB",
                      mode->map_bytes >> 30);
        err_hint(err,
                 "Raise the limit of address space (ulimit -v); it is neither memory nor disk.");
        return err->code;
    }
    munmap(mapped, mode->map_bytes);
    return ERR_OK;
}

/* Whatever can be known before anything is made or bound. */
static enum errcode check_first(struct server *server, struct err *err)
{
    server->mode = mode_find(server->options->mode, err);
    if (server->mode == NULL || check_address_space(server->mode, err) != ERR_OK ||
        directory_check(server->options->data, err) != ERR_OK) {
        return err->code;
    }
    return check_config(server, config_now(server), err);
}

static enum errcode serve(struct server *server, struct err *err)
{
    server->started = (struct loop_post){.fn = started, .arg = server};
    enum errcode code = ERR_OK;
    if (open_loop(server, err) != ERR_OK || start_net_threads(server, err) != ERR_OK ||
        open_ports(server, err) != ERR_OK) {
        code = err->code;
        goto out;
    }
    warn(server);
    if (!mem_give_back_idle()) {
        log_line(LOG_WARNING, "freed memory goes back to the system when some is allocated");
    }
    log_addresses(server, "starting");
    code = thread_start(&server->starter, "start", start_mode, server, err);
    if (code != ERR_OK) {
        goto out;
    }
    loop_run(server->loop);
    thread_join(&server->starter);
    code = server->start_code;
    *err = server->start_err;
out:
    stop_net_threads(server);
    close_loop(server);
    return code;
}

static enum errcode run(struct server *server, struct err *err)
{
    enum errcode code = check_first(server, err);
    if (code != ERR_OK) {
        return code;
    }
    code = serve(server, err);
    if (code == ERR_OK) {
        server->mode->stop(&server->process);
    }
    directory_close(&server->directory);
    return code;
}

static struct server *server_new(const struct server_options *options, const struct config *config,
                                 struct err *err)
{
    struct server *server = mem_zalloc(MEM_GENERAL, sizeof *server);
    if (server == NULL) {
        err_no_memory(err);
        return NULL;
    }
    server->options = options;
    server->directory = (struct directory){.fd = -1, .lock_fd = -1};
    server->configs[0] = *config;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* A write beyond ulimit -f fails with EFBIG, and is told. */
    umask(umask(0) & (S_IRWXG | S_IRWXO)); /* Of what it takes from us, nothing could be read. */
    raise_descriptors();
    apply_config(server);
    return server;
}

int server_run(const struct server_options *options, const struct config *config, struct err *err)
{
    struct server *server = server_new(options, config, err);
    if (server == NULL) {
        return 1;
    }
    enum errcode code = run(server, err);
    mem_free(MEM_GENERAL, server);
    if (code == ERR_OK) {
        log_line(LOG_INFO, "stopped");
    }
    return code == ERR_OK ? 0 : 1;
}

/* In the order of run and serve, without what they leave behind. */
static enum errcode check(struct server *server, struct err *err)
{
    server->ports.is_probe = true;
    if (check_first(server, err) != ERR_OK) {
        return err->code;
    }
    enum errcode code = open_loop(server, err);
    if (code == ERR_OK) {
        code = open_ports(server, err);
    }
    if (code == ERR_OK) {
        warn(server);
        directory_check_private(server->options->data);
    }
    close_loop(server);
    return code;
}

enum errcode server_check(const struct server_options *options, const struct config *config,
                          struct err *err)
{
    struct server *server = server_new(options, config, err);
    if (server == NULL) {
        return err->code;
    }
    enum errcode code = check(server, err);
    mem_free(MEM_GENERAL, server);
    return code;
}
