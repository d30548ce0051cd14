/* Abuse by amount: readers that do not read, writers that do not wait, ten thousand connects. */
#include "abuse.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LAST_ONES = 20, /* Descriptors that are left. */
    SILENT_READERS = 100,
    CONNECTS = 10000,
    RESERVED_DESCRIPTORS = 200,
    STARTS = 1000,
    STILL_LEAVING = 2, /* Sessions of the test before that may be counted yet. */
    SESSIONS_MS_MAX = 120000,
    QUESTIONS = 20000,
    PADDED_BYTES = 2000,
    /* Bytes of RSS that the tests allow: a bound that does not grow with what is asked for. */
    READERS_BYTES_MAX = 192 << 20,
    CONNECTS_BYTES_MAX = 256 << 20,
};

/* Some megabytes each, asked for again and again. */
static const char large_result[] = "SELECT id, v FROM t";

bool sessions_fall_to(unsigned n)
{
    uint64_t deadline_us = clock_micros() + SESSIONS_MS_MAX * UINT64_C(1000);
    while (clock_micros() < deadline_us) {
        struct client c;
        unsigned n_open = 0;
        char letter = '.';
        if (client_start(&c)) {
            client_query(&c, "SHOW SESSIONS");
            letter = client_send(&c) ? client_next(&c) : '.';
        }
        for (; letter != WIRE_READY && letter != '.' && letter != '?'; letter = client_next(&c)) {
            n_open += letter == WIRE_ROW;
        }
        client_close(&c);
        if (letter == WIRE_READY && n_open <= n) {
            return true;
        }
        clock_sleep_micros(50000);
    }
    return false;
}

static bool readers_that_do_not_read_cost_a_bounded_amount_and_are_cut(void)
{
    static struct client readers[SILENT_READERS];
    size_t before = server_resident_bytes(), most = 0;
    client_receive_bytes = 4096; /* What a kernel takes in for its reader buys it time. */
    for (int i = 0; i < SILENT_READERS; i++) {
        EXPECT(client_start(&readers[i]), "no session %d", i);
        for (int j = 0; j < 50; j++) {
            client_query(&readers[i], large_result);
        }
        EXPECT(client_send(&readers[i]), "not sent");
    }
    client_receive_bytes = 0;
    uint64_t started_us = clock_micros();
    while (clock_micros() - started_us < CLIENT_TIMEOUT_MS * 1000) {
        size_t now = server_resident_bytes();
        most = now > most ? now : most;
        EXPECT(server_answers(), "others are not served meanwhile");
    }
    EXPECT(most < before + READERS_BYTES_MAX, "%zu -> %zu bytes", before, most);
    EXPECT(sessions_fall_to(1), "they were not cut");
    for (int i = 0; i < SILENT_READERS; i++) {
        client_close(&readers[i]);
    }
    return true;
}

static bool a_slow_reader_that_reads_gets_all_of_it(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    for (int i = 0; i < 5; i++) {
        client_query(&c, large_result);
    }
    EXPECT(client_send(&c), "not sent");
    for (int i = 0; i < 5; i++) {
        unsigned n_rows = 0;
        char letter;
        while ((letter = client_next(&c)) != WIRE_READY) {
            EXPECT(letter != '.' && letter != '?' && letter != WIRE_ERROR, "got '%c'", letter);
            n_rows += letter == WIRE_ROW;
            if (n_rows % 500 == 0) {
                clock_sleep_micros(20000);
            }
        }
        EXPECT(n_rows == ROWS, "%u rows", n_rows);
    }
    client_close(&c);
    return true;
}

/* At this pace the kernel's buffer takes longer than client_timeout until it asks for more. */
static bool a_steady_reader_of_400_kb_a_second_is_not_cut(void)
{
    enum {
        STEP_BYTES = 40000,
        STEP_US = 100000
    };
    static uint8_t piece[STEP_BYTES];
    struct client c;
    EXPECT(client_start(&c), "no session");
    for (int i = 0; i < 15; i++) {
        client_query(&c, large_result);
    }
    EXPECT(client_send(&c), "not sent");
    uint64_t started_us = clock_micros();
    while (clock_micros() - started_us < 4 * CLIENT_TIMEOUT_MS * UINT64_C(1000)) {
        EXPECT(recv(c.fd, piece, sizeof piece, MSG_WAITALL) == STEP_BYTES, "cut: %s",
               strerror(errno));
        clock_sleep_micros(STEP_US);
    }
    client_close(&c);
    return true;
}

/* A thread that sends all that was appended, however long that takes. */
struct writer {
    struct client *client;
    struct thread thread;
    atomic_bool has_ended;
    bool is_good;
};

static void write_all(void *arg)
{
    struct writer *w = arg;
    w->is_good = client_send(w->client);
    atomic_store(&w->has_ended, true);
}

/* Forty megabytes of questions, none of whose answers is read at first. */
static bool a_writer_that_does_not_read_is_stopped_and_then_answered(void)
{
    struct client c;
    char text[PADDED_BYTES + 1], trace[64];
    struct err err;
    memset(text, ' ', sizeof text);
    text[PADDED_BYTES] = '\0';
    memcpy(text, "SELECT id FROM t LIMIT 100", 26);
    size_t before = server_resident_bytes();
    EXPECT(client_start(&c), "no session");
    for (int i = 0; i < QUESTIONS; i++) {
        client_query(&c, text);
    }
    struct writer w = {.client = &c};
    EXPECT(thread_start(&w.thread, "writer", write_all, &w, &err) == ERR_OK, "no thread");
    clock_sleep_micros(CLIENT_TIMEOUT_MS * 500);
    bool was_stopped = !atomic_load(&w.has_ended);
    size_t after = server_resident_bytes();
    unsigned n_answers = 0;
    while (n_answers < QUESTIONS && client_until_ready(&c, trace, sizeof trace) &&
           strcmp(trace, "rkZ") == 0) {
        n_answers++;
    }
    thread_join(&w.thread);
    EXPECT(was_stopped, "the server took all of it");
    EXPECT(after < before + (64 << 20), "%zu -> %zu bytes", before, after);
    EXPECT(w.is_good && n_answers == QUESTIONS, "%u answers, then %s", n_answers, trace);
    client_close(&c);
    return true;
}

/* ---- ten thousand connects ---- */

static bool ten_thousand_connects_leave_the_server_answering(void)
{
    static struct client clients[CONNECTS];
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0, "no limit");
    size_t n = limit.rlim_cur < CONNECTS + RESERVED_DESCRIPTORS
                   ? (size_t)limit.rlim_cur - RESERVED_DESCRIPTORS
                   : CONNECTS;
    size_t before = server_resident_bytes();
    for (size_t i = 0; i < n; i++) {
        EXPECT(client_connect(&clients[i]), "connect %zu of %zu: %s", i, n, strerror(errno));
    }
    EXPECT(server_answers(), "not while %zu connections are open", n);
    size_t with_all = server_resident_bytes();
    EXPECT(with_all < before + CONNECTS_BYTES_MAX, "%zu -> %zu bytes", before, with_all);
    /* They say nothing: each gets its error and its end. */
    for (size_t i = 0; i < n; i++) {
        char letter = client_next(&clients[i]);
        EXPECT(letter == WIRE_ERROR && strcmp(clients[i].sqlstate, "57P05") == 0,
               "connection %zu got '%c' %s", i, letter, clients[i].sqlstate);
        client_close(&clients[i]);
    }
    printf("    %zu connections, %zu bytes each\n", n,
           with_all > before ? (with_all - before) / n : 0);
    return true;
}

static bool starts_over_max_connections_get_an_error_of_their_own(void)
{
    static struct client clients[STARTS];
    unsigned n_started = 0, n_refused = 0;
    EXPECT(sessions_fall_to(1), "sessions of earlier tests are open");
    for (int i = 0; i < STARTS; i++) {
        EXPECT(client_connect(&clients[i]), "connect %d", i);
        client_startup(&clients[i]);
        EXPECT(client_send(&clients[i]), "not sent");
    }
    for (int i = 0; i < STARTS; i++) {
        char letter = client_next(&clients[i]);
        n_started += letter == WIRE_AUTH;
        n_refused += letter == WIRE_ERROR && strcmp(clients[i].sqlstate, "53300") == 0;
    }
    for (int i = 0; i < STARTS; i++) {
        client_close(&clients[i]);
    }
    EXPECT(n_started <= SESSIONS_MAX && n_started >= SESSIONS_MAX - STILL_LEAVING &&
               n_started + n_refused == STARTS,
           "%u started, %u refused", n_started, n_refused);
    return sessions_fall_to(1);
}

static bool starts_that_no_descriptor_is_left_for_get_an_error(void)
{
    static struct client clients[LAST_ONES * 2];
    unsigned n_started = 0, n_refused = 0;
    EXPECT(sessions_fall_to(1), "sessions of earlier tests are open");
    EXPECT(server_let_open(LAST_ONES), "no limit");
    for (int i = 0; i < LAST_ONES * 2; i++) {
        EXPECT(client_connect(&clients[i]), "connect %d", i);
        client_startup(&clients[i]);
        (void)client_send(&clients[i]); /* It may be turned away by now. */
        char letter = client_next(&clients[i]);
        n_started += letter == WIRE_AUTH;
        n_refused += letter == WIRE_ERROR && strcmp(clients[i].sqlstate, "53300") == 0;
    }
    for (int i = 0; i < LAST_ONES * 2; i++) {
        client_close(&clients[i]);
    }
    EXPECT(n_started > 0 && n_refused >= LAST_ONES / 2 && n_started + n_refused == LAST_ONES * 2,
           "%u started, %u refused", n_started, n_refused);
    EXPECT(server_let_open(0), "no limit");
    return sessions_fall_to(1) && server_answers();
}

const struct test load_tests[] = {
    {"readers_that_do_not_read_cost_a_bounded_amount_and_are_cut",
     readers_that_do_not_read_cost_a_bounded_amount_and_are_cut},
    {"a_slow_reader_that_reads_gets_all_of_it", a_slow_reader_that_reads_gets_all_of_it},
    {"a_steady_reader_of_400_kb_a_second_is_not_cut",
     a_steady_reader_of_400_kb_a_second_is_not_cut},
    {"a_writer_that_does_not_read_is_stopped_and_then_answered",
     a_writer_that_does_not_read_is_stopped_and_then_answered},
    {"ten_thousand_connects_leave_the_server_answering",
     ten_thousand_connects_leave_the_server_answering},
    {"starts_over_max_connections_get_an_error_of_their_own",
     starts_over_max_connections_get_an_error_of_their_own},
    {"starts_that_no_descriptor_is_left_for_get_an_error",
     starts_that_no_descriptor_is_left_for_get_an_error},
};
const size_t n_load_tests = COUNT_OF(load_tests);
