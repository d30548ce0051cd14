/* Raw connections, blocking, with a deadline on each answer. */
#include "abuse.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    INPUT_FIRST_BYTES = 1024
};

int client_receive_bytes;

bool client_connect(struct client *c)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(c, 0, sizeof *c);
    buf_init(&c->out, MEM_GENERAL, 1 << 30);
    c->in_capacity_bytes = INPUT_FIRST_BYTES;
    c->in = malloc(c->in_capacity_bytes);
    CHECK(c->in != NULL);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd == -1) {
        return false;
    }
    struct timeval deadline = {.tv_sec = ANSWER_MS_MAX / 1000};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
    if (client_receive_bytes != 0) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &client_receive_bytes,
                   sizeof client_receive_bytes);
    }
    return connect(c->fd, (struct sockaddr *)&name, sizeof name) == 0;
}

void client_close(struct client *c)
{
    if (c->fd != -1) {
        close(c->fd);
    }
    c->fd = -1;
    free(c->in);
    c->in = NULL;
    buf_fini(&c->out);
}

bool client_send(struct client *c)
{
    size_t at = 0;
    while (at < c->out.bytes) {
        ssize_t n = send(c->fd, c->out.data + at, c->out.bytes - at, MSG_NOSIGNAL);
        if (n <= 0) {
            buf_reset(&c->out);
            return false;
        }
        at += (size_t)n;
    }
    buf_reset(&c->out);
    return true;
}

static bool read_more(struct client *c)
{
    memmove(c->in, c->in + c->in_at, c->in_bytes - c->in_at);
    c->in_bytes -= c->in_at;
    c->in_at = 0;
    if (c->in_bytes == c->in_capacity_bytes) {
        c->in_capacity_bytes *= 2;
        c->in = realloc(c->in, c->in_capacity_bytes);
        CHECK(c->in != NULL);
    }
    ssize_t n = recv(c->fd, c->in + c->in_bytes, c->in_capacity_bytes - c->in_bytes, 0);
    if (n > 0) {
        c->in_bytes += (size_t)n;
        return true;
    }
    return false;
}

static void keep_sqlstate(struct client *c)
{
    struct reader r;
    struct err err;
    struct wire_str severity, sqlstate;
    reader_init(&r, c->frame.payload, c->frame.payload_bytes);
    snprintf(c->sqlstate, sizeof c->sqlstate, "?");
    if (wire_read_error(&r, &err, &severity, &sqlstate)) {
        snprintf(c->sqlstate, sizeof c->sqlstate, "%.*s", (int)sqlstate.bytes, sqlstate.data);
    }
}

static char next_of_any(struct client *c)
{
    size_t need_bytes;
    while (wire_parse(c->in + c->in_at, c->in_bytes - c->in_at, SIZE_MAX, &c->frame, &need_bytes) !=
           WIRE_FRAME) {
        errno = 0;
        if (!read_more(c)) {
            return errno == EAGAIN || errno == EWOULDBLOCK ? '?' : '.';
        }
    }
    c->in_at += need_bytes;
    return (char)c->frame.type;
}

char client_next(struct client *c)
{
    char letter;
    do {
        letter = next_of_any(c);
    } while (c->has_shut && letter == WIRE_PARAMETER_STATUS);
    if (letter == WIRE_ERROR) {
        keep_sqlstate(c);
    }
    return letter;
}

bool client_until_ready(struct client *c, char *trace, size_t trace_bytes)
{
    size_t n = 0;
    for (;;) {
        char letter = client_next(c);
        if (letter != WIRE_ROW && n + 1 < trace_bytes) {
            trace[n++] = letter;
            trace[n] = '\0';
        }
        if (letter == WIRE_READY || letter == '.' || letter == '?') {
            return letter == WIRE_READY;
        }
    }
}

void client_startup(struct client *c)
{
    wire_write_startup(&c->out, &(struct wire_startup){.magic = WIRE_MAGIC,
                                                       .major = WIRE_VERSION_MAJOR,
                                                       .minor = WIRE_VERSION_MINOR});
}

bool client_start(struct client *c)
{
    if (!client_connect(c)) {
        return false;
    }
    client_startup(c);
    if (!client_send(c)) {
        return false;
    }
    for (;;) {
        char letter = client_next(c);
        struct reader r;
        reader_init(&r, c->frame.payload, c->frame.payload_bytes);
        if (letter == WIRE_SESSION_KEY && !wire_read_key(&r, WIRE_SESSION_KEY, &c->key)) {
            return false;
        }
        if (letter == WIRE_READY) {
            return true;
        }
        if (letter == '.' || letter == '?' || letter == WIRE_ERROR) {
            return false;
        }
    }
}

void client_query(struct client *c, const char *vql)
{
    wire_write_text(&c->out, WIRE_QUERY, vql, strlen(vql));
}

void client_extended(struct client *c, const char *vql)
{
    struct wire_str none = {.data = "", .bytes = 0};
    struct wire_str text = {.data = vql, .bytes = (uint32_t)strlen(vql)};
    wire_write_parse(&c->out, &(struct wire_parse_message){.name = none, .text = text});
    wire_write_bind(&c->out, none, none, NULL, 0);
    wire_write_execute(&c->out, none, 0);
}

bool server_answers(void)
{
    struct client c;
    char trace[64] = "";
    bool is_good = client_start(&c);
    client_query(&c, "SELECT 1");
    is_good = is_good && client_send(&c) && client_until_ready(&c, trace, sizeof trace);
    client_close(&c);
    return is_good && strcmp(trace, "rkZ") == 0;
}

bool client_cancel(const struct wire_key *key)
{
    struct client c;
    EXPECT(client_connect(&c), "no connection");
    wire_write_key(&c.out, WIRE_CANCEL, key);
    EXPECT(client_send(&c), "not sent");
    char letter = client_next(&c);
    EXPECT(letter == '.', "got '%c' for a cancel", letter);
    client_close(&c);
    return true;
}
