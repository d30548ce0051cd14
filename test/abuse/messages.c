/* Abuse by what is sent: lengths, versions, garbage, errors in a pipeline, cancel, random bytes. */
#include "abuse.h"

#include <poll.h>
#include <sys/socket.h>

/* One ERROR with this SQLSTATE, then the end. */
static bool is_cut_with(struct client *c, const char *sqlstate)
{
    char letter = client_next(c);
    EXPECT(letter == WIRE_ERROR, "got '%c'", letter);
    EXPECT(strcmp(c->sqlstate, sqlstate) == 0, "got %s instead of %s", c->sqlstate, sqlstate);
    letter = client_next(c);
    EXPECT(letter == '.', "got '%c' after the error", letter);
    client_close(c);
    return true;
}

static bool a_frame_over_the_limit_gets_its_error(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    buf_u8(&c.out, WIRE_QUERY);
    buf_u32(&c.out, FRAME_MAX + 1);
    EXPECT(client_send(&c), "not sent");
    return is_cut_with(&c, "08P02");
}

/* All of it is sent before the answer is read: the error must survive the bytes that follow it. */
static bool a_frame_over_the_limit_sent_whole_gets_its_error(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    buf_u8(&c.out, WIRE_QUERY);
    buf_u32(&c.out, 8 << 20);
    for (int i = 0; i < 8 << 20; i++) {
        buf_u8(&c.out, 'x');
    }
    (void)client_send(&c);
    return is_cut_with(&c, "08P02");
}

static bool a_length_of_four_gigabytes_is_refused_at_once(void)
{
    struct client c;
    size_t before = server_resident_bytes();
    EXPECT(client_start(&c), "no session");
    buf_u8(&c.out, WIRE_COPY_DATA);
    buf_u32(&c.out, UINT32_MAX);
    EXPECT(client_send(&c), "not sent");
    EXPECT(is_cut_with(&c, "08P02"), "see above");
    EXPECT(server_resident_bytes() < before + (16 << 20), "the server took memory for it");
    return true;
}

static bool garbage_instead_of_a_start_is_refused(void)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00",
                                        "hello, server, how are you?\n",
                                        "\xff\xff\xff\xff\xff\xff"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct client c;
        EXPECT(client_connect(&c), "no connection");
        buf_bytes(&c.out, texts[i], strlen(texts[i]));
        EXPECT(client_send(&c), "not sent");
        shutdown(c.fd, SHUT_WR);
        char letter = client_next(&c);
        EXPECT(letter == WIRE_ERROR || letter == '.', "%zu got '%c'", i, letter);
        client_close(&c);
    }
    return true;
}

static bool a_start_of_an_unknown_version_is_refused(void)
{
    struct client c;
    EXPECT(client_connect(&c), "no connection");
    wire_write_startup(&c.out, &(struct wire_startup){.magic = WIRE_MAGIC, .major = 99});
    EXPECT(client_send(&c), "not sent");
    return is_cut_with(&c, "08004");
}

static bool an_unknown_message_is_refused(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    wire_write_empty(&c.out, (enum wire_type)'~');
    EXPECT(client_send(&c), "not sent");
    return is_cut_with(&c, "08P01");
}

static bool half_a_frame_and_silence_is_cut_in_time(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    buf_u8(&c.out, WIRE_QUERY);
    buf_u32(&c.out, 1000);
    buf_u8(&c.out, 'S');
    EXPECT(client_send(&c), "not sent");
    uint64_t started_us = clock_micros();
    EXPECT(is_cut_with(&c, "57P05"), "see above");
    uint64_t ms = (clock_micros() - started_us) / 1000;
    EXPECT(ms >= CLIENT_TIMEOUT_MS - 100 && ms < CLIENT_TIMEOUT_MS + 3000, "%llu ms",
           (unsigned long long)ms);
    return true;
}

static bool a_message_in_drops_is_cut_in_time(void)
{
    struct client c;
    EXPECT(client_start(&c), "no session");
    buf_u8(&c.out, WIRE_QUERY);
    buf_u32(&c.out, 100000);
    struct pollfd answer = {.fd = c.fd, .events = POLLIN};
    uint64_t started_us = clock_micros(), ms = 0;
    while (poll(&answer, 1, 50) == 0 && ms < ANSWER_MS_MAX) {
        buf_u8(&c.out, ' ');
        EXPECT(client_send(&c), "not sent");
        ms = (clock_micros() - started_us) / 1000;
    }
    EXPECT(is_cut_with(&c, "57P05"), "see above");
    EXPECT(ms >= CLIENT_TIMEOUT_MS - 100 && ms < CLIENT_TIMEOUT_MS + 3000, "%llu ms",
           (unsigned long long)ms);
    return true;
}

static bool silence_before_the_start_is_cut_in_time(void)
{
    struct client c;
    EXPECT(client_connect(&c), "no connection");
    return is_cut_with(&c, "57P05");
}

static bool errors_in_a_pipeline_skip_to_the_sync_and_no_further(void)
{
    struct client c;
    char trace[64];
    EXPECT(client_start(&c), "no session");
    for (int i = 0; i < 500; i++) {
        client_extended(&c, "SELECT 1");
        client_extended(&c, i % 2 == 0 ? "SELECT * FROM nowhere" : "SELEC 1");
        client_extended(&c, "SELECT 2");
        wire_write_empty(&c.out, WIRE_SYNC);
    }
    EXPECT(client_send(&c), "not sent");
    for (int i = 0; i < 500; i++) {
        EXPECT(client_until_ready(&c, trace, sizeof trace), "%d: %s", i, trace);
        EXPECT(strcmp(trace, "12k!Z") == 0, "%d: %s", i, trace);
        EXPECT(strcmp(c.sqlstate, i % 2 == 0 ? "42P01" : "42601") == 0, "%s", c.sqlstate);
    }
    client_close(&c);
    return true;
}

/* Each in its place, though they are on their way together: the second of a key fails, and a
 * statement that reads finds what was written before it. */
static bool writes_of_a_pipeline_are_answered_as_if_one_came_after_the_other(void)
{
    enum {
        PAIRS = 500
    };
    struct client c;
    char trace[64], text[96];
    EXPECT(client_start(&c), "no session");
    client_query(&c, "CREATE COLLECTION piped (id INT PRIMARY KEY, n INT)");
    for (int i = 0; i < PAIRS; i++) {
        for (int again = 0; again < 2; again++) {
            snprintf(text, sizeof text, "INSERT INTO piped VALUES (%d, %d)", i, again);
            client_extended(&c, text);
            wire_write_empty(&c.out, WIRE_SYNC);
        }
        if (i % 50 == 49) {
            client_extended(&c, "UPDATE piped SET n = n + 1");
            wire_write_empty(&c.out, WIRE_SYNC);
        }
    }
    EXPECT(client_send(&c), "not sent");
    EXPECT(client_until_ready(&c, trace, sizeof trace), "%s", trace);
    for (int i = 0; i < PAIRS; i++) {
        EXPECT(client_until_ready(&c, trace, sizeof trace), "%d: %s", i, trace);
        EXPECT(strcmp(trace, "12kZ") == 0, "%d: %s", i, trace);
        EXPECT(client_until_ready(&c, trace, sizeof trace), "%d: %s", i, trace);
        EXPECT(strcmp(trace, "12!Z") == 0, "%d: %s", i, trace);
        EXPECT(strcmp(c.sqlstate, "23505") == 0, "%s", c.sqlstate);
        EXPECT(i % 50 != 49 || client_says(&c, "12k"), "%d", i);
        struct reader r;
        struct wire_str tag;
        uint64_t rows;
        reader_init(&r, c.frame.payload, c.frame.payload_bytes);
        EXPECT(i % 50 != 49 || (wire_read_complete(&r, &tag, &rows) && rows == (uint64_t)i + 1),
               "%d rows are not what was there", i + 1);
        EXPECT(i % 50 != 49 || client_says(&c, "Z"), "%d", i);
    }
    client_query(&c, "DROP COLLECTION piped");
    EXPECT(client_send(&c), "not sent");
    EXPECT(client_until_ready(&c, trace, sizeof trace), "%s", trace);
    client_close(&c);
    return true;
}

/* ---- cancel ---- */

/* Exact, and many queries in one: long enough to be canceled. */
static void say_long(struct client *c)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&b, "%sKEY %d", i == 0 ? "SEARCH id FROM t NEAR (" : ", ", i);
    }
    buf_printf(&b, ") LIMIT 10 WITH (exact = on)");
    buf_u8(&b, 0);
    for (int i = 0; i < 20; i++) { /* In one QUERY each; the first that is canceled ends them. */
        client_query(c, (const char *)b.data);
    }
    buf_fini(&b);
}

static bool a_cancel_ends_a_running_statement_and_a_wrong_one_does_not(void)
{
    struct client c;
    char trace[64];
    EXPECT(client_start(&c), "no session");
    say_long(&c);
    EXPECT(client_send(&c), "not sent");
    struct wire_key wrong = {.session = c.key.session, .secret = ~c.key.secret};
    EXPECT(client_cancel(&wrong), "see above");
    unsigned n_canceled = 0;
    for (int i = 0; i < 20; i++) {
        /* A cancel may come between two statements, where it ends nothing: so one a statement. */
        EXPECT(i == 0 || client_cancel(&c.key), "see above");
        EXPECT(client_until_ready(&c, trace, sizeof trace), "%s", trace);
        EXPECT(i > 0 || strcmp(trace, "rkZ") == 0, "the wrong cancel did something: %s", trace);
        bool is_canceled = strchr(trace, WIRE_ERROR) != NULL;
        EXPECT(!is_canceled || strcmp(c.sqlstate, "57014") == 0, "%s", c.sqlstate);
        n_canceled += is_canceled;
    }
    EXPECT(n_canceled > 0, "no statement was canceled");
    client_close(&c);
    return true;
}

/* ---- random bytes ---- */

enum {
    FUZZ_SESSIONS = 1500
};

static void append_random_frame(struct buf *b, uint64_t *seed)
{
    static const char letters[] = "SXQPBDECHYTfdcRKsZ123trwneku!N";
    static const char *const texts[] = {"SELECT 1",
                                        "COPY t FROM STDIN",
                                        "COPY t TO STDOUT",
                                        "SELECT * FROM t LIMIT 3",
                                        "SET recall = 2",
                                        "",
                                        ";"};
    uint64_t kind = random_next(seed) % 8;
    if (kind == 0) {
        const char *text = texts[random_next(seed) % COUNT_OF(texts)];
        wire_write_text(b, WIRE_QUERY, text, strlen(text));
        return;
    }
    if (kind == 1) {
        wire_write_empty(b, WIRE_SYNC);
        return;
    }
    size_t begun_at =
        wire_begin(b, (enum wire_type)letters[random_next(seed) % (sizeof letters - 1)]);
    for (uint64_t n = random_next(seed) % 40; n > 0; n--) {
        buf_u8(b, (uint8_t)(random_next(seed) % 3 == 0 ? random_next(seed) : 0));
    }
    wire_end(b, begun_at);
    if (kind == 2) { /* A length that is not so. */
        buf_patch_u32(b, begun_at + 1, (uint32_t)(random_next(seed) % 64));
    }
}

static bool random_bytes_never_stop_the_server(void)
{
    uint64_t seed = 20261122;
    size_t before = server_resident_bytes();
    for (int i = 0; i < FUZZ_SESSIONS; i++) {
        struct client c;
        EXPECT(client_connect(&c), "no connection %d", i);
        if (i % 8 != 0) {
            client_startup(&c);
        }
        for (uint64_t n = random_next(&seed) % 20; n > 0; n--) {
            append_random_frame(&c.out, &seed);
        }
        (void)client_send(&c);
        shutdown(c.fd, SHUT_WR);
        char letter;
        while ((letter = client_next(&c)) != '.') {
            EXPECT(letter != '?', "session %d hangs", i);
        }
        client_close(&c);
    }
    size_t after = server_resident_bytes();
    EXPECT(after < before + (64 << 20), "%zu -> %zu bytes", before, after);
    return true;
}

const struct test message_tests[] = {
    {"a_frame_over_the_limit_gets_its_error", a_frame_over_the_limit_gets_its_error},
    {"a_frame_over_the_limit_sent_whole_gets_its_error",
     a_frame_over_the_limit_sent_whole_gets_its_error},
    {"a_length_of_four_gigabytes_is_refused_at_once",
     a_length_of_four_gigabytes_is_refused_at_once},
    {"garbage_instead_of_a_start_is_refused", garbage_instead_of_a_start_is_refused},
    {"a_start_of_an_unknown_version_is_refused", a_start_of_an_unknown_version_is_refused},
    {"an_unknown_message_is_refused", an_unknown_message_is_refused},
    {"half_a_frame_and_silence_is_cut_in_time", half_a_frame_and_silence_is_cut_in_time},
    {"a_message_in_drops_is_cut_in_time", a_message_in_drops_is_cut_in_time},
    {"silence_before_the_start_is_cut_in_time", silence_before_the_start_is_cut_in_time},
    {"errors_in_a_pipeline_skip_to_the_sync_and_no_further",
     errors_in_a_pipeline_skip_to_the_sync_and_no_further},
    {"writes_of_a_pipeline_are_answered_as_if_one_came_after_the_other",
     writes_of_a_pipeline_are_answered_as_if_one_came_after_the_other},
    {"a_cancel_ends_a_running_statement_and_a_wrong_one_does_not",
     a_cancel_ends_a_running_statement_and_a_wrong_one_does_not},
    {"random_bytes_never_stop_the_server", random_bytes_never_stop_the_server},
};
const size_t n_message_tests = COUNT_OF(message_tests);
