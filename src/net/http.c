/* Small HTTP pages over evhttp, for metrics and health.
 *
 * evhttp has no limits of its own, so all of them are set here: headers, bodies, silence, and how
 * many connections are taken within the time after which a silent one is cut.  Each connection
 * carries one request.  Only GET and HEAD are served. */
#include "net/net.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/net_int.h"

enum {
    HTTP_HEADERS_BYTES_MAX = 8 << 10,
    HTTP_BODY_BYTES_MAX = 4 << 10,
    HTTP_PAGE_BYTES_MAX = 4 << 20,
    HTTP_TIMEOUT_S = 5,
    HTTP_ACCEPTED_MAX = 256, /* Within HTTP_TIMEOUT_S. */
    HTTP_AWAY_BATCH = 64,    /* Turned away in one turn of the loop. */
    HTTP_IDLE_TURNS_MAX = 8, /* In which somebody waits and nobody is accepted. */
};

/* For whom there is no descriptor. */
static const char farewell[] = "HTTP/1.1 503 Service Unavailable\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: 39\r\n"
                               "Connection: close\r\n\r\n"
                               "the server has too many files open now\n";

struct http {
    struct evhttp *evhttp;
    struct evconnlistener *listener; /* Owned by evhttp. */
    struct loop *loop;
    struct loop_timer retry;
    struct event readable; /* Of the listening socket. */
    struct spare spare;
    unsigned n_idle; /* Turns. */
    bool is_listening;
    http_handler *handler;
    void *arg;
    unsigned n_accepted; /* Since the window began. */
    uint64_t window_us;
    char address[ADDRESS_BYTES_MAX];
};

/* ---- limits ---- */

static void pause_accepting(struct http *http, uint64_t micros)
{
    event_del(&http->readable);
    CHECK(evconnlistener_disable(http->listener) == 0);
    loop_timer_set(http->loop, &http->retry, micros);
}

/* evhttp has put its own argument in the place of ours: see readable(), which looks for itself. */
static void accept_failed(struct evconnlistener *listener, void *evhttp)
{
    (void)listener;
    (void)evhttp;
}

/* Beside evhttp, which accepts.  Where it cannot for want of descriptors, those who wait are turned
 * away; where it does not for another reason, turn after turn, a while is waited. */
static void readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct http *http = arg;
    CHECK_LOOP(http->loop);
    int probe = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int errnum = probe == -1 ? errno : 0;
    if (probe != -1) {
        close(probe);
    }
    bool is_turned_away = errnum != 0;
    for (int i = 0; i < HTTP_AWAY_BATCH && is_turned_away; i++) {
        is_turned_away = spare_turn_away(&http->spare, errnum, fd, http->address) == 0;
        http->n_idle = is_turned_away ? 0 : http->n_idle;
    }
    if (http->n_idle++ >= HTTP_IDLE_TURNS_MAX) {
        http->n_idle = 0;
        pause_accepting(http, ACCEPT_PAUSE_US);
    }
}

/* evhttp asks for the connection's buffers here, which is where the connections are counted. */
static struct bufferevent *accepted(struct event_base *base, void *arg)
{
    struct http *http = arg;
    const uint64_t window_us = HTTP_TIMEOUT_S * UINT64_C(1000000);
    uint64_t now_us = clock_micros();
    if (now_us - http->window_us >= window_us) {
        http->window_us = now_us;
        http->n_accepted = 0;
    }
    http->n_accepted++;
    http->n_idle = 0;
    if (http->n_accepted >= HTTP_ACCEPTED_MAX) {
        pause_accepting(http, http->window_us + window_us - now_us);
    }
    return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
}

static void retry(void *arg)
{
    struct http *http = arg;
    CHECK(evconnlistener_enable(http->listener) == 0);
    CHECK(event_add(&http->readable, NULL) == 0);
}

/* ---- pages ---- */

static void answer(struct evhttp_request *request, void *arg)
{
    struct http *http = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
    struct buf body;
    buf_init(&body, MEM_NETWORK, HTTP_PAGE_BYTES_MAX);
    const char *content_type = "text/plain; charset=utf-8";
    int status = http->handler(http->arg, path == NULL ? "/" : path, &body, &content_type);
    CHECK(status >= 200 && status <= 599);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *out = evbuffer_new();
    size_t sent_bytes = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD ? 0 : body.bytes;
    char length[24];
    snprintf(length, sizeof length, "%zu", body.bytes); /* evhttp would tell what is sent. */
    if (body.failed || out == NULL || evbuffer_add(out, body.data, sent_bytes) != 0 ||
        evhttp_add_header(headers, "Content-Type", content_type) != 0 ||
        evhttp_add_header(headers, "Content-Length", length) != 0 ||
        evhttp_add_header(headers, "Connection", "close") != 0) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    } else {
        evhttp_send_reply(request, status, NULL, out);
    }
    if (out != NULL) {
        evbuffer_free(out);
    }
    buf_fini(&body);
}

/* ---- opening and closing ---- */

static bool http_listen(struct http *http, struct loop *loop, int fd)
{
    http->evhttp = evhttp_new(loop->base);
    if (http->evhttp == NULL) {
        close(fd);
        return false;
    }
    evhttp_set_max_headers_size(http->evhttp, HTTP_HEADERS_BYTES_MAX);
    evhttp_set_max_body_size(http->evhttp, HTTP_BODY_BYTES_MAX);
    evhttp_set_timeout(http->evhttp, HTTP_TIMEOUT_S);
    evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_bevcb(http->evhttp, accepted, http);
    evhttp_set_gencb(http->evhttp, answer, http);
    http->listener = evconnlistener_new(loop->base, NULL, NULL,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (http->listener == NULL) {
        close(fd);
        return false;
    }
    evconnlistener_set_error_cb(http->listener, accept_failed);
    spare_open(&http->spare, fd);
    if (evhttp_bind_listener(http->evhttp, http->listener) == NULL) {
        evconnlistener_free(http->listener);
        return false;
    }
    CHECK(event_assign(&http->readable, loop->base, fd, EV_READ | EV_PERSIST, readable, http) == 0);
    CHECK(event_add(&http->readable, NULL) == 0);
    http->is_listening = true;
    return true;
}

struct http *http_new(struct loop *loop, const char *address, http_handler *handler, void *arg,
                      struct err *err)
{
    CHECK_LOOP(loop);
    CHECK(handler != NULL);
    struct http *http = mem_zalloc(MEM_NETWORK, sizeof *http);
    if (http == NULL) {
        err_no_memory(err);
        return NULL;
    }
    http->handler = handler;
    http->arg = arg;
    http->loop = loop;
    http->spare =
        (struct spare){.fd = -1, .farewell = farewell, .farewell_bytes = sizeof(farewell) - 1};
    http->retry = (struct loop_timer){.fn = retry, .arg = http};
    int fd = listening_socket(address, false, http->address, err);
    if (fd != -1 && http_listen(http, loop, fd)) {
        return http;
    }
    if (fd != -1) {
        err_no_memory(err);
    }
    http_free(http);
    return NULL;
}

const char *http_address(const struct http *http)
{
    return http->address;
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    loop_timer_clear(http->loop, &http->retry);
    if (http->is_listening) {
        event_del(&http->readable);
    }
    if (http->evhttp != NULL) {
        evhttp_free(http->evhttp);
    }
    spare_close(&http->spare);
    mem_free(MEM_NETWORK, http);
}
