/* Listeners and HTTP pages: addresses, stale sockets, want of descriptors, and what is refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net.h"
#include "test/unit/unit.h"

/* A loop, what it accepted, and when to stop it. */
struct site {
    struct loop *loop;
    struct timer *deadline;
    int accepted[256];
    unsigned n_accepted, n_wanted;
    char peer[128];
};

static void out_of_time(void *arg)
{
    (void)arg;
    fail_msg("the deadline passed");
}

static void accepted(void *arg, int fd, const char *peer)
{
    struct site *site = arg;
    assert_true((size_t)site->n_accepted < COUNT_OF(site->accepted));
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    site->accepted[site->n_accepted++] = fd;
    snprintf(site->peer, sizeof site->peer, "%s", peer);
    if (site->n_accepted == site->n_wanted) {
        loop_stop(site->loop);
    }
}

static void site_open(struct site *site)
{
    struct err err;
    memset(site, 0, sizeof *site);
    site->loop = loop_new(&err);
    assert_non_null(site->loop);
    site->deadline = timer_new(site->loop, out_of_time, NULL);
    assert_non_null(site->deadline);
    timer_set(site->deadline, PATIENCE_US);
}

static void site_close(struct site *site)
{
    for (unsigned i = 0; i < site->n_accepted; i++) {
        close(site->accepted[i]);
    }
    timer_free(site->deadline);
    loop_free(site->loop);
}

static unsigned port_of(const char *address)
{
    return (unsigned)atoi(strrchr(address, ':') + 1);
}

static int connect_to(const char *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port_of(address))};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

static struct listener *listen_at(struct site *site, const char *address, bool is_unix)
{
    struct err err = {0};
    struct listener *listener = listener_new(site->loop, address, is_unix, accepted, site, &err);
    if (listener == NULL) {
        fail_msg("%s", err.message);
    }
    return listener;
}

/* ---- addresses ---- */

static void port_zero_takes_a_free_port_and_tells_it(void **state)
{
    (void)state;
    struct site site;
    site_open(&site);
    struct listener *listener = listen_at(&site, "127.0.0.1:0", false);
    assert_true(port_of(listener_address(listener)) > 0);
    int fd = connect_to(listener_address(listener));
    site.n_wanted = 1;
    loop_run(site.loop);
    assert_memory_equal(site.peer, "127.0.0.1:", 10);
    close(fd);
    listener_free(listener);
    site_close(&site);
}

static void a_star_takes_ipv4_too(void **state)
{
    (void)state;
    struct site site;
    site_open(&site);
    struct listener *listener = listen_at(&site, "*:0", false);
    int fd = connect_to(listener_address(listener));
    site.n_wanted = 1;
    loop_run(site.loop);
    close(fd);
    listener_free(listener);
    site_close(&site);
}

static void an_address_that_is_none_is_refused_with_the_form_in_the_hint(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "localhost",      "127.0.0.1:",      "::1:7432",
        "[::1]7432", "no such host:1", "127.0.0.1:99999", "127.0.0.1:x"};
    struct site site;
    site_open(&site);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = {0};
        assert_null(listener_new(site.loop, bad[i], false, accepted, &site, &err));
        assert_int_equal(err.code, ERR_BAD_CONFIG);
        assert_true(err.message[0] != '\0');
    }
    site_close(&site);
}

static void a_port_in_use_is_refused(void **state)
{
    (void)state;
    struct site site;
    site_open(&site);
    struct listener *listener = listen_at(&site, "127.0.0.1:0", false);
    struct err err = {0};
    assert_null(listener_new(site.loop, listener_address(listener), false, accepted, &site, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.message, listener_address(listener)));
    listener_free(listener);
    site_close(&site);
}

/* ---- Unix sockets ---- */

static void socket_path(char path[64])
{
    snprintf(path, 64, "/tmp/vectrond-test-%ld", (long)getpid());
}

static void a_stale_unix_socket_is_replaced_a_live_one_is_not(void **state)
{
    (void)state;
    char path[64];
    socket_path(path);
    struct site site;
    site_open(&site);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(dead >= 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&name, sizeof name), 0);
    close(dead);
    struct listener *listener = listen_at(&site, path, true);
    struct err err = {0};
    assert_null(listener_new(site.loop, path, true, accepted, &site, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_string_equal(listener_address(listener), path);
    listener_free(listener);
    struct stat st;
    assert_int_equal(stat(path, &st), -1);
    site_close(&site);
}

static void a_file_at_the_sockets_path_is_not_removed(void **state)
{
    (void)state;
    char path[64];
    socket_path(path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    struct site site;
    site_open(&site);
    struct err err = {0};
    assert_null(listener_new(site.loop, path, true, accepted, &site, &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(unlink(path), 0);
    site_close(&site);
}

static void a_socket_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[200];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    struct site site;
    site_open(&site);
    struct err err = {0};
    assert_null(listener_new(site.loop, path, true, accepted, &site, &err));
    assert_int_equal(err.code, ERR_BAD_CONFIG);
    site_close(&site);
}

/* ---- accepting ---- */

static void a_paused_listener_accepts_nothing_until_it_goes_on(void **state)
{
    (void)state;
    struct site site;
    site_open(&site);
    struct listener *listener = listen_at(&site, "127.0.0.1:0", false);
    listener_pause(listener, true);
    int fd = connect_to(listener_address(listener));
    struct timer *stop = timer_new(site.loop, (void (*)(void *))loop_stop, site.loop);
    assert_non_null(stop);
    timer_set(stop, 30000);
    loop_run(site.loop);
    assert_int_equal(site.n_accepted, 0);
    listener_pause(listener, false);
    site.n_wanted = 1;
    loop_run(site.loop);
    assert_int_equal(site.n_accepted, 1);
    timer_free(stop);
    close(fd);
    listener_free(listener);
    site_close(&site);
}

static void give_descriptors_back(void *arg)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, arg), 0);
}

static void lower_descriptors(rlim_t n, struct rlimit *whole)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, whole), 0);
    struct rlimit tight = *whole;
    tight.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
}

/* Also those that come one after the other, and nothing is left of them. */
static void whom_no_descriptor_is_left_for_is_told_so(void **state)
{
    (void)state;
    static const char farewell[] = "no room for you";
    struct site site;
    site_open(&site);
    struct listener *listener = listen_at(&site, "127.0.0.1:0", false);
    listener_set_farewell(listener, farewell, sizeof farewell);
    int fds[4];
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = connect_to(listener_address(listener));
    }
    struct rlimit whole;
    int64_t refused = metric_value(METRIC_connections_refused);
    lower_descriptors((rlim_t)fds[COUNT_OF(fds) - 1] + 1, &whole); /* Every number is taken. */
    log_set_level(LOG_ERROR);
    while (metric_value(METRIC_connections_refused) < refused + (int64_t)COUNT_OF(fds)) {
        loop_turn(site.loop);
    }
    loop_turn(site.loop);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        char said[64] = "";
        assert_int_equal(recv(fds[i], said, sizeof said, MSG_WAITALL), sizeof farewell);
        assert_string_equal(said, farewell);
    }
    assert_int_equal(site.n_accepted, 0);
    give_descriptors_back(&whole);
    log_set_level(LOG_INFO);
    close(fds[0]);
    fds[0] = connect_to(listener_address(listener));
    site.n_wanted = 1;
    loop_run(site.loop);
    assert_int_equal(metric_value(METRIC_connections_refused), refused + (int64_t)COUNT_OF(fds));
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        close(fds[i]);
    }
    listener_free(listener);
    site_close(&site);
}

/* Not even the number of the spare one can be had. */
static void want_of_descriptors_pauses_the_listener_and_ends(void **state)
{
    (void)state;
    struct site site;
    site_open(&site);
    struct listener *listener = listen_at(&site, "127.0.0.1:0", false);
    int fds[3];
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = connect_to(listener_address(listener));
    }
    struct rlimit whole;
    lower_descriptors(STDERR_FILENO + 1, &whole);
    struct timer *relief = timer_new(site.loop, give_descriptors_back, &whole);
    assert_non_null(relief);
    timer_set(relief, 50000);
    site.n_wanted = COUNT_OF(fds);
    uint64_t started_us = clock_micros();
    log_set_level(LOG_ERROR);
    loop_run(site.loop);
    log_set_level(LOG_INFO);
    assert_int_equal(site.n_accepted, COUNT_OF(fds));
    assert_true(clock_micros() - started_us >= 50000);
    timer_free(relief);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        close(fds[i]);
    }
    listener_free(listener);
    site_close(&site);
}

/* ---- HTTP ---- */

static int page(void *arg, const char *path, struct buf *body, const char **content_type)
{
    (void)arg;
    (void)content_type;
    if (strcmp(path, "/health") != 0) {
        buf_printf(body, "no page %s\n", path);
        return 404;
    }
    buf_printf(body, "ok\n");
    return 200;
}

struct fetch {
    struct loop *loop;
    const char *address, *request;
    char answer[4096];
};

static void fetch(void *arg)
{
    struct fetch *f = arg;
    int fd = connect_to(f->address);
    assert_true(write(fd, f->request, strlen(f->request)) > 0);
    size_t n = 0;
    ssize_t got;
    while (n < sizeof f->answer - 1 &&
           (got = read(fd, f->answer + n, sizeof f->answer - 1 - n)) > 0) {
        n += (size_t)got;
    }
    close(fd);
    loop_stop(f->loop);
}

static struct fetch fetch_page(const char *request)
{
    struct site site;
    site_open(&site);
    struct err err;
    struct http *http = http_new(site.loop, "127.0.0.1:0", page, NULL, &err);
    assert_non_null(http);
    struct fetch f = {.loop = site.loop, .address = http_address(http), .request = request};
    struct thread thread;
    assert_int_equal(thread_start(&thread, "fetch", fetch, &f, &err), 0);
    loop_run(site.loop);
    thread_join(&thread);
    http_free(http);
    site_close(&site);
    return f;
}

static void check_page(const char *request, const char *status, const char *body)
{
    struct fetch f = fetch_page(request);
    assert_memory_equal(f.answer, status, strlen(status));
    assert_non_null(strstr(f.answer, body));
}

static void a_page_is_served_and_the_connection_closed(void **state)
{
    (void)state;
    check_page("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "\r\n\r\nok\n");
    check_page("GET /other?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404", "no page /other");
}

static void head_has_the_headers_of_get_and_no_body(void **state)
{
    (void)state;
    struct fetch f = fetch_page("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *end = strstr(f.answer, "\r\n\r\n");
    assert_non_null(end);
    assert_non_null(strstr(f.answer, "Content-Length: 3\r\n"));
    assert_string_equal(end, "\r\n\r\n");
}

static void a_page_that_no_descriptor_is_left_for_is_a_503(void **state)
{
    (void)state;
    struct site site;
    struct err err;
    site_open(&site);
    struct http *http = http_new(site.loop, "127.0.0.1:0", page, NULL, &err);
    assert_non_null(http);
    int fds[2] = {connect_to(http_address(http)), connect_to(http_address(http))};
    struct rlimit whole;
    int64_t refused = metric_value(METRIC_connections_refused);
    lower_descriptors((rlim_t)fds[1] + 1, &whole);
    log_set_level(LOG_ERROR);
    while (metric_value(METRIC_connections_refused) < refused + (int64_t)COUNT_OF(fds)) {
        loop_turn(site.loop);
    }
    give_descriptors_back(&whole);
    log_set_level(LOG_INFO);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        char said[512] = "";
        assert_true(recv(fds[i], said, sizeof said - 1, MSG_WAITALL) > 0);
        assert_memory_equal(said, "HTTP/1.1 503 ", 13);
        unsigned body_bytes;
        const char *length = strstr(said, "Content-Length: "), *body = strstr(said, "\r\n\r\n");
        assert_true(length != NULL && body != NULL);
        assert_int_equal(sscanf(length, "Content-Length: %u", &body_bytes), 1);
        assert_int_equal(strlen(body + 4), body_bytes);
        close(fds[i]);
    }
    http_free(http);
    site_close(&site);
}

static void other_methods_and_large_headers_are_refused(void **state)
{
    (void)state;
    check_page("DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501", "");
    char large[12000] = "GET /health HTTP/1.1\r\nX: ";
    size_t begun = strlen(large);
    memset(large + begun, 'x', sizeof large - begun - 5);
    memcpy(large + sizeof large - 5, "\r\n\r\n", 5);
    check_page(large, "HTTP/1.1 400", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_zero_takes_a_free_port_and_tells_it),
        cmocka_unit_test(a_star_takes_ipv4_too),
        cmocka_unit_test(an_address_that_is_none_is_refused_with_the_form_in_the_hint),
        cmocka_unit_test(a_port_in_use_is_refused),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_a_live_one_is_not),
        cmocka_unit_test(a_file_at_the_sockets_path_is_not_removed),
        cmocka_unit_test(a_socket_path_that_is_too_long_is_refused),
        cmocka_unit_test(a_paused_listener_accepts_nothing_until_it_goes_on),
        cmocka_unit_test(whom_no_descriptor_is_left_for_is_told_so),
        cmocka_unit_test(want_of_descriptors_pauses_the_listener_and_ends),
        cmocka_unit_test(a_page_is_served_and_the_connection_closed),
        cmocka_unit_test(a_page_that_no_descriptor_is_left_for_is_a_503),
        cmocka_unit_test(head_has_the_headers_of_get_and_no_body),
        cmocka_unit_test(other_methods_and_large_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
