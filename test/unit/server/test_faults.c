/* The n-th allocation of a network thread fails, for every n: the client gets an error that says so
 * or is cut, nothing is left behind, and the next client is served. */
#include "script.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    N_COMMANDS = 7, /* Of the script. */
    NTH_MAX = 1000
};

/* Everything that a client says, in one piece: what it is answered depends on what fails. */
static void write_script(struct peer *p)
{
    static const float vector[] = {1, 2, 3};
    struct value parameter = value_vector(vector, COUNT_OF(vector));
    say_startup(p, "application_name", "test");
    say(p, "rows 3; ok; remarks");
    say_parse(p, "named", "param");
    wire_write_bind(&p->out, str("portal"), str("named"), &parameter, 1);
    say_execute(p, "portal", 0);
    say_sync(p);
    say_all(p, "rows 5000", 10);
    say_execute(p, "", 0);
    say_sync(p);
    say(p, "copyout 100");
    say(p, "copyin");
    say_data(p, 100000);
    wire_write_empty(&p->out, WIRE_COPY_DONE);
    wire_write_empty(&p->out, WIRE_TERMINATE);
    assert_false(p->out.failed);
}

/* One that was cut learns of it here, or at its next read. */
static void send_script(struct peer *p)
{
    ssize_t n = 0;
    for (size_t at = 0; at < p->out.bytes && n >= 0; at += (size_t)n) {
        n = send(p->fd, p->out.data + at, p->out.bytes - at, MSG_NOSIGNAL);
        if (n < 0) {
            return;
        }
    }
}

/* Reads to the end; the number of commands that were completed. */
static unsigned read_answers(struct peer *p)
{
    unsigned n_complete = 0;
    for (;;) {
        struct reader r;
        struct err err;
        struct wire_str severity, sqlstate;
        switch (next_frame(p)) {
        case '.':
            return n_complete;
        case 'k':
            n_complete++;
            break;
        case '!':
            reader_init(&r, p->last.payload, p->last.payload_bytes);
            assert_true(wire_read_error(&r, &err, &severity, &sqlstate));
            assert_int_equal(err.code, ERR_OUT_OF_MEMORY);
            break;
        default:
            break;
        }
    }
}

static void a_client_is_told_or_cut_and_the_next_one_served(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    struct site site;
    site_open(&site);
    log_set_level(LOG_ERROR + 1);
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        struct peer p, next;
        int fd = make_peer(&p);
        assert_true(nth < NTH_MAX);
        write_script(&p);
        fault_arm(FAULT_MALLOC, nth, 1);
        session_accept(&site.net, fd);
        send_script(&p);
        unsigned n_complete = read_answers(&p);
        has_failed = fault_calls(FAULT_MALLOC) >= nth;
        fault_disarm_all();
        assert_true(n_complete <= N_COMMANDS && (has_failed || n_complete == N_COMMANDS));
        leave(&p);
        start(&site, &next);
        say(&next, "ok");
        expect(&next, "kZ");
        leave(&next);
    }
    log_set_level(LOG_INFO);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_told_or_cut_and_the_next_one_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
