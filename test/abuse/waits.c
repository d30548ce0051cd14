/* Statements that wait for their client: they hear a cancel, the end of their time and a stop at
 * once, whether the client is silent or keeps sending.  And a client that has ended its sending
 * side gets its answers. */
#include "abuse.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    AT_ONCE_MS_MAX = 1500, /* On a machine that has other things to do. */
    STATEMENT_TIMEOUT_MS = 400,
    SENDING_STEP_US = 5000,
};

static const char copy_in[] = "COPY t (id, v) FROM STDIN";
static const char large[] =
    "SELECT v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v"
    " FROM t"; /* More than the kernel and the server hold of an answer. */

bool client_says(struct client *c, const char *trace)
{
    for (size_t i = 0; trace[i] != '\0'; i++) {
        char letter = client_next(c);
        EXPECT(letter == trace[i], "got '%c' %s and not %s", letter, c->sqlstate, trace + i);
    }
    return true;
}

/* How a COPY that waits is ended. */
enum ending {
    BY_CANCEL,
    BY_TIMEOUT
};

static bool begin_copy(struct client *c, bool is_extended, enum ending ending)
{
    EXPECT(client_start(c), "no session");
    if (ending == BY_TIMEOUT) {
        char text[64];
        snprintf(text, sizeof text, "SET timeout = '%dms'", STATEMENT_TIMEOUT_MS);
        client_query(c, text);
        EXPECT(client_send(c) && client_says(c, "skZ"), "no SET");
    }
    if (is_extended) {
        client_extended(c, copy_in);
    } else {
        client_query(c, copy_in);
    }
    return client_send(c) && client_says(c, is_extended ? "12G" : "G");
}

/* Data until something is there to be read. */
static bool keep_sending(struct client *c)
{
    uint64_t deadline_us = clock_micros() + ANSWER_MS_MAX * UINT64_C(1000);
    uint8_t byte;
    while (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) {
        EXPECT(clock_micros() < deadline_us, "nothing came");
        wire_end(&c->out, wire_begin(&c->out, WIRE_COPY_DATA));
        EXPECT(client_send(c), "not sent");
        clock_sleep_micros(SENDING_STEP_US);
    }
    return true;
}

static bool copy_ends(bool is_extended, enum ending ending, bool is_silent)
{
    struct client c;
    EXPECT(begin_copy(&c, is_extended, ending), "no COPY");
    uint64_t begun_us = clock_micros();
    EXPECT(ending == BY_TIMEOUT || client_cancel(&c.key), "no cancel");
    EXPECT(is_silent || keep_sending(&c), "see above");
    EXPECT(client_says(&c, is_extended ? "!" : "!Z"), "see above");
    uint64_t ms = (clock_micros() - begun_us) / 1000;
    EXPECT(strcmp(c.sqlstate, ending == BY_CANCEL ? "57014" : "57V01") == 0, "%s", c.sqlstate);
    EXPECT(ms < AT_ONCE_MS_MAX, "after %llu ms", (unsigned long long)ms);
    wire_write_empty(&c.out, WIRE_COPY_DONE); /* Of one who has not heard of it yet. */
    if (is_extended) {
        wire_write_empty(&c.out, WIRE_SYNC);
    }
    client_query(&c, "SELECT 1");
    EXPECT(client_send(&c) && client_says(&c, is_extended ? "ZrwkZ" : "rwkZ"), "not usable");
    client_close(&c);
    return true;
}

static bool a_copy_that_waits_for_data_hears_a_cancel_and_its_timeout(void)
{
    for (int i = 0; i < 8; i++) {
        EXPECT(copy_ends((i & 1) != 0, (enum ending)(i >> 1 & 1), (i & 4) != 0), "case %d", i);
    }
    return true;
}

static bool a_result_that_nobody_reads_hears_a_cancel_and_its_timeout(void)
{
    for (int i = 0; i < 2; i++) {
        struct client c;
        EXPECT(client_start(&c), "no session");
        if (i == 1) {
            client_query(&c, "SET timeout = '400ms'");
            EXPECT(client_send(&c) && client_says(&c, "skZ"), "no SET");
        }
        client_query(&c, large);
        EXPECT(client_send(&c) && client_says(&c, "r"), "no result");
        clock_sleep_micros(CLIENT_TIMEOUT_MS * 500); /* Not read, and not yet cut. */
        EXPECT(i == 1 || client_cancel(&c.key), "no cancel");
        char letter;
        unsigned n_rows = 0;
        while ((letter = client_next(&c)) == WIRE_ROW) {
            n_rows++;
        }
        EXPECT(letter == WIRE_ERROR && n_rows < ROWS, "'%c' after %u rows", letter, n_rows);
        EXPECT(strcmp(c.sqlstate, i == 0 ? "57014" : "57V01") == 0, "%s", c.sqlstate);
        EXPECT(client_says(&c, "Z"), "see above");
        client_close(&c);
    }
    return true;
}

static void execute(struct client *c, uint32_t limit)
{
    wire_write_execute(&c->out, (struct wire_str){.data = "", .bytes = 0}, limit);
}

/* PARSE and BIND of the unnamed ones, and EXECUTE with a limit. */
static void extended_limited(struct client *c, const char *vql, uint32_t limit)
{
    size_t at = c->out.bytes;
    client_extended(c, vql);
    size_t execute_bytes = WIRE_HEADER_BYTES + sizeof(uint32_t) * 2;
    CHECK(c->out.bytes > at + execute_bytes);
    c->out.bytes -= execute_bytes; /* The one without a limit. */
    execute(c, limit);
}

static bool a_cancel_while_a_portal_is_suspended_ends_nothing(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    extended_limited(&c, "SELECT id FROM t", 2);
    wire_write_empty(&c.out, WIRE_FLUSH);
    EXPECT(client_send(&c) && client_says(&c, "12wwu"), "not suspended");
    EXPECT(client_cancel(&c.key), "no cancel");
    execute(&c, 2);
    wire_write_empty(&c.out, WIRE_SYNC);
    EXPECT(client_send(&c) && client_says(&c, "wwuZ"), "see above");
    client_close(&c);
    return true;
}

static bool a_client_that_ends_its_sending_side_gets_all_its_answers(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    for (int i = 0; i < 300; i++) {
        client_query(&c, "SELECT id FROM t LIMIT 3");
    }
    client_query(
        &c, "CREATE COLLECTION half (id INT PRIMARY KEY, n INT); INSERT INTO half VALUES (1, 2);"
            " UPDATE half SET n = 3 WHERE id = 1; SELECT * FROM half; DROP COLLECTION half");
    client_query(&c, large);
    extended_limited(&c, "SELECT id FROM t", 2);
    execute(&c, 1);
    EXPECT(client_send(&c) && shutdown(c.fd, SHUT_WR) == 0, "not sent");
    c.has_shut = true;
    for (int i = 0; i < 300; i++) {
        EXPECT(client_says(&c, "rwwwkZ"), "answer %d", i);
    }
    char letter;
    for (letter = client_next(&c); letter != WIRE_READY; letter = client_next(&c)) {
        EXPECT(letter == 'k' || letter == 'r' || letter == 'w', "got '%c' %s", letter, c.sqlstate);
    }
    char trace[64];
    EXPECT(client_until_ready(&c, trace, sizeof trace), "%s", trace);
    EXPECT(strcmp(trace, "rkZ") == 0, "%s", trace);
    EXPECT(client_says(&c, "12wwuwu."), "see above");
    client_close(&c);
    return true;
}

static bool a_copy_whose_client_ends_its_sending_side_says_so(void)
{
    struct client c;
    EXPECT(begin_copy(&c, false, BY_CANCEL), "no COPY");
    EXPECT(shutdown(c.fd, SHUT_WR) == 0 && client_says(&c, "!Z."), "see above");
    EXPECT(strcmp(c.sqlstate, "57014") == 0, "%s", c.sqlstate);
    client_close(&c);
    return true;
}

const struct test wait_tests[] = {
    {"a_copy_that_waits_for_data_hears_a_cancel_and_its_timeout",
     a_copy_that_waits_for_data_hears_a_cancel_and_its_timeout},
    {"a_result_that_nobody_reads_hears_a_cancel_and_its_timeout",
     a_result_that_nobody_reads_hears_a_cancel_and_its_timeout},
    {"a_cancel_while_a_portal_is_suspended_ends_nothing",
     a_cancel_while_a_portal_is_suspended_ends_nothing},
    {"a_client_that_ends_its_sending_side_gets_all_its_answers",
     a_client_that_ends_its_sending_side_gets_all_its_answers},
    {"a_copy_whose_client_ends_its_sending_side_says_so",
     a_copy_whose_client_ends_its_sending_side_says_so},
};
const size_t n_wait_tests = COUNT_OF(wait_tests);

/* ---- the stop: the last test ---- */

static bool is_told_of_the_end(struct client *c, const char *trace, const char *who)
{
    EXPECT(client_says(c, trace), "%s", who);
    EXPECT(strcmp(c->sqlstate, "57P01") == 0, "%s: %s", who, c->sqlstate);
    EXPECT(client_next(c) == '.', "%s is not closed", who);
    client_close(c);
    return true;
}

bool a_stop_tells_those_that_wait_for_their_client_at_once(void)
{
    struct client idle, copying, sending, extended, suspended;
    EXPECT(client_start(&idle) && begin_copy(&copying, false, BY_CANCEL) &&
               begin_copy(&sending, false, BY_CANCEL) && begin_copy(&extended, true, BY_CANCEL) &&
               client_start(&suspended),
           "no sessions");
    extended_limited(&suspended, "SELECT id FROM t", 2);
    wire_write_empty(&suspended.out, WIRE_FLUSH);
    EXPECT(client_send(&suspended) && client_says(&suspended, "12wwu"), "not suspended");
    uint64_t begun_us = clock_micros();
    server_terminate();
    EXPECT(keep_sending(&sending), "see above");
    EXPECT(is_told_of_the_end(&idle, "!", "idle") &&
               is_told_of_the_end(&copying, "!Z!", "copying") &&
               is_told_of_the_end(&sending, "!Z!", "sending") &&
               is_told_of_the_end(&extended, "!!", "copying, extended") &&
               is_told_of_the_end(&suspended, "!", "suspended"),
           "see above");
    uint64_t ms = (clock_micros() - begun_us) / 1000;
    EXPECT(ms < AT_ONCE_MS_MAX, "after %llu ms", (unsigned long long)ms);
    return true;
}
