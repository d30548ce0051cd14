/* Connections and statements against a server that plays scripts. */
#include "client/vclient.h"

#include "fake_server.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static vc_conn *connect_to(struct fake *fake)
{
    vc_conn *conn = vc_connect(fake_conninfo(fake));
    if (vc_status(conn) != VC_CONN_OK) {
        fail_msg("%s", vc_error_message(conn));
    }
    return conn;
}

static struct wire_str str(const char *text)
{
    return (struct wire_str){text, (uint32_t)strlen(text)};
}

/* Columns id INT, name TEXT. */
static void add_columns(struct fake *fake)
{
    struct wire_column columns[] = {{str("id"), TYPE_INT, 0}, {str("name"), TYPE_TEXT, 0}};
    wire_write_columns(fake_out(fake), columns, 2);
}

static void add_row(struct fake *fake, int64_t id, const char *name)
{
    struct value values[] = {value_int(id), name == NULL ? value_null() : value_cstr(name)};
    wire_write_row(fake_out(fake), values, 2);
}

/* ---- connecting ---- */

static void plain_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect_end(fake);
}

static void a_connection_knows_its_session_and_its_server(void **state)
{
    (void)state;
    struct fake *fake = fake_start(plain_script);
    vc_conn *conn = connect_to(fake);
    assert_int_equal(vc_session(conn), FAKE_SESSION);
    assert_string_equal(vc_parameter_status(conn, "server_version"), "9.9");
    assert_null(vc_parameter_status(conn, "no such"));
    assert_string_equal(vc_user(conn), "tester");
    assert_string_equal(vc_error_message(conn), "");
    vc_close(conn);
    fake_stop(fake);
}

static void a_polled_connect_ends_like_a_blocking_one(void **state)
{
    (void)state;
    struct fake *fake = fake_start(plain_script);
    vc_conn *conn = vc_connect_start(fake_conninfo(fake));
    vc_poll poll_state;
    while ((poll_state = vc_connect_poll(conn)) == VC_POLL_READING ||
           poll_state == VC_POLL_WRITING) {
        assert_int_equal(vc_status(conn), VC_CONN_CONNECTING);
        struct pollfd ready = {.fd = vc_socket(conn),
                               .events = poll_state == VC_POLL_READING ? POLLIN : POLLOUT};
        assert_int_equal(poll(&ready, 1, 10000), 1);
    }
    assert_int_equal(poll_state, VC_POLL_OK);
    assert_int_equal(vc_status(conn), VC_CONN_OK);
    vc_close(conn);
    fake_stop(fake);
}

static void refusing_script(struct fake *fake)
{
    fake_accept(fake);
    fake_expect(fake, WIRE_STARTUP);
    fake_send_error(fake, ERR_TOO_MANY_CONNECTIONS, "1000 sessions are open");
}

static void a_refusal_is_told_in_the_servers_words(void **state)
{
    (void)state;
    struct fake *fake = fake_start(refusing_script);
    vc_conn *conn = vc_connect(fake_conninfo(fake));
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    assert_string_equal(vc_error_message(conn), "ERROR: 1000 sessions are open\nHINT: a hint");
    assert_int_equal(vc_socket(conn), -1);
    vc_close(conn);
    fake_stop(fake);
}

static void silent_script(struct fake *fake)
{
    fake_accept(fake);
    fake_expect(fake, WIRE_STARTUP);
    fake_expect_end(fake);
}

static void a_silent_server_is_given_up_after_connect_timeout(void **state)
{
    (void)state;
    struct fake *fake = fake_start(silent_script);
    char conninfo[256];
    snprintf(conninfo, sizeof(conninfo), "%s connect_timeout=1", fake_conninfo(fake));
    vc_conn *conn = vc_connect(conninfo);
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    assert_non_null(strstr(vc_error_message(conn), "within 1 s"));
    vc_close(conn);
    fake_stop(fake);
}

static void garbage_script(struct fake *fake)
{
    fake_accept(fake);
    fake_expect(fake, WIRE_STARTUP);
    buf_bytes(fake_out(fake), "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    fake_send(fake);
}

static void something_else_that_answers_is_no_server(void **state)
{
    (void)state;
    struct fake *fake = fake_start(garbage_script);
    vc_conn *conn = vc_connect(fake_conninfo(fake));
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    assert_true(strlen(vc_error_message(conn)) > 0);
    vc_close(conn);
    fake_stop(fake);
}

static void nobody_at_the_address_is_an_error_that_names_it(void **state)
{
    (void)state;
    vc_conn *conn = vc_connect("host=127.0.0.1 port=1");
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    assert_string_equal(vc_error_message(conn),
                        "could not connect to 127.0.0.1 port 1: Connection refused");
    assert_false(vc_send_query(conn, "SHOW ALL"));
    vc_result *result = vc_exec(conn, "SHOW ALL");
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), "08006");
    vc_result_free(result);
    vc_close(conn);
}

/* ---- statements ---- */

static void rows_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    add_columns(fake);
    add_row(fake, 1, "one");
    add_row(fake, -2, NULL);
    wire_write_complete(fake_out(fake), "SELECT", 2);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void a_select_gives_typed_rows(void **state)
{
    (void)state;
    struct fake *fake = fake_start(rows_script);
    vc_conn *conn = connect_to(fake);
    vc_result *result = vc_exec(conn, "SELECT id, name FROM t");
    assert_int_equal(vc_result_state(result), VC_ROWS);
    assert_int_equal(vc_rows(result), 2);
    assert_int_equal(vc_columns(result), 2);
    assert_string_equal(vc_column_name(result, 1), "name");
    assert_int_equal(vc_column_type(result, 0), VC_INT);
    assert_int_equal(vc_column_number(result, "name"), 1);
    assert_int_equal(vc_column_number(result, "nam"), -1);
    assert_int_equal(vc_get_value(result, 1, 0)->integer, -2);
    assert_string_equal(vc_text(result, 0, 0), "1");
    assert_string_equal(vc_text(result, 0, 1), "one");
    assert_true(vc_is_null(result, 1, 1));
    assert_string_equal(vc_text(result, 1, 1), "");
    assert_null(vc_get_value(result, 2, 0));
    assert_null(vc_get_value(result, 0, 2));
    assert_string_equal(vc_command_tag(result), "SELECT");
    assert_int_equal(vc_affected(result), 2);
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

static void now_and_later_script(struct fake *fake)
{
    fake_greet(fake);
    for (int i = 0; i < 3; i++) {
        fake_expect(fake, WIRE_QUERY);
        clock_sleep_micros(i == 1 ? 20000 : 0);
        wire_write_complete(fake_out(fake), "INSERT", 1);
        fake_send_ready(fake);
    }
    fake_expect(fake, WIRE_QUERY);
    fake_hang_up(fake);
}

/* Within the time that it polls, after it, and where the server goes. */
static void a_client_that_polls_gets_the_same_answers(void **state)
{
    (void)state;
    struct fake *fake = fake_start(now_and_later_script);
    char conninfo[256];
    snprintf(conninfo, sizeof(conninfo), "%s busy_poll=1ms", fake_conninfo(fake));
    vc_conn *conn = vc_connect(conninfo);
    for (int i = 0; i < 4; i++) {
        vc_result *result = vc_exec(conn, "INSERT");
        assert_int_equal(vc_result_state(result), i < 3 ? VC_COMMAND : VC_ERROR);
        vc_result_free(result);
    }
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    vc_close(conn);
    fake_stop(fake);
}

static void two_statements_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    wire_write_complete(fake_out(fake), "INSERT", 1);
    fake_send_error(fake, ERR_SYNTAX, "syntax error");
    fake_send_ready(fake);
    fake_expect(fake, WIRE_QUERY);
    wire_write_empty(fake_out(fake), WIRE_EMPTY_QUERY);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void an_error_has_its_fields_and_ends_the_text(void **state)
{
    (void)state;
    struct fake *fake = fake_start(two_statements_script);
    vc_conn *conn = connect_to(fake);
    vc_result *result = vc_exec(conn, "INSERT ...; oops");
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_string_equal(vc_error_field(result, VC_FIELD_SEVERITY), "ERROR");
    assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), "42601");
    assert_string_equal(vc_error_field(result, VC_FIELD_MESSAGE), "syntax error");
    assert_string_equal(vc_error_field(result, VC_FIELD_HINT), "a hint");
    assert_string_equal(vc_error_field(result, VC_FIELD_POSITION), "3");
    assert_string_equal(vc_error_field(result, VC_FIELD_DETAIL), "");
    assert_string_equal(vc_error_message(conn), "ERROR: syntax error\nHINT: a hint");
    vc_result_free(result);
    result = vc_exec(conn, "  ");
    assert_int_equal(vc_result_state(result), VC_EMPTY);
    assert_string_equal(vc_error_message(conn), "");
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

/* Answers one PARSE BIND DESCRIBE EXECUTE SYNC. */
static void params_script(struct fake *fake)
{
    fake_greet(fake);
    struct wire_frame frame = fake_expect(fake, WIRE_PARSE);
    struct reader r;
    reader_init(&r, frame.payload, frame.payload_bytes);
    struct wire_parse_message parse;
    CHECK(wire_read_parse(&r, &parse) && parse.name.bytes == 0);
    frame = fake_expect(fake, WIRE_BIND);
    reader_init(&r, frame.payload, frame.payload_bytes);
    struct wire_bind bind;
    CHECK(wire_read_bind(&r, &bind) && bind.n_values == 4);
    struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
    CHECK(arena != NULL);
    struct value values[4];
    for (int i = 0; i < 4; i++) {
        values[i] = value_read(&r, arena);
    }
    CHECK(reader_done(&r));
    fake_expect(fake, WIRE_DESCRIBE);
    fake_expect(fake, WIRE_EXECUTE);
    fake_expect(fake, WIRE_SYNC);
    struct buf *out = fake_out(fake);
    wire_write_empty(out, WIRE_PARSE_COMPLETE);
    wire_write_empty(out, WIRE_BIND_COMPLETE);
    struct wire_column columns[] = {{str("a"), TYPE_INT, 0},
                                    {str("b"), TYPE_TEXT, 0},
                                    {str("c"), TYPE_VECTOR, 3},
                                    {str("d"), TYPE_NULL, 0}};
    wire_write_columns(out, columns, 4);
    wire_write_row(out, values, 4);
    wire_write_complete(out, "SELECT", 1);
    fake_send_ready(fake);
    arena_free(arena);
    fake_expect_end(fake);
}

static void parameters_travel_there_and_back(void **state)
{
    (void)state;
    struct fake *fake = fake_start(params_script);
    vc_conn *conn = connect_to(fake);
    float vector[] = {0.5f, -1, 3};
    vc_value params[] = {vc_int(INT64_MIN), vc_string("h\xc3\xa4"), vc_vector(vector, 3),
                         vc_null()};
    vc_result *result = vc_exec_params(conn, "SELECT $1, $2, $3, $4", params, 4);
    assert_int_equal(vc_result_state(result), VC_ROWS);
    assert_true(vc_get_value(result, 0, 0)->integer == INT64_MIN);
    assert_string_equal(vc_text(result, 0, 1), "h\xc3\xa4");
    assert_string_equal(vc_text(result, 0, 2), "[0.5,-1,3]");
    assert_ptr_equal(vc_text(result, 0, 2), vc_text(result, 0, 2));
    assert_int_equal(vc_column_dim(result, 2), 3);
    assert_memory_equal(vc_get_value(result, 0, 2)->vector.data, vector, sizeof(vector));
    assert_true(vc_is_null(result, 0, 3));
    vc_result_free(result);
    vc_value bad = vc_vector(vector, 0);
    result = vc_exec_params(conn, "SELECT $1", &bad, 1);
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_non_null(strstr(vc_error_message(conn), "$1"));
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

static void prepare_script(struct fake *fake)
{
    fake_greet(fake);
    struct buf *out = fake_out(fake);
    fake_expect(fake, WIRE_PARSE);
    fake_expect(fake, WIRE_SYNC);
    wire_write_empty(out, WIRE_PARSE_COMPLETE);
    fake_send_ready(fake);
    fake_expect(fake, WIRE_DESCRIBE);
    fake_expect(fake, WIRE_SYNC);
    size_t at = wire_begin(out, WIRE_PARAMETERS);
    buf_u16(out, 2);
    buf_u8(out, TYPE_VECTOR);
    buf_u8(out, TYPE_INT);
    wire_end(out, at);
    add_columns(fake);
    fake_send_ready(fake);
    fake_expect(fake, WIRE_BIND);
    fake_expect(fake, WIRE_DESCRIBE);
    fake_expect(fake, WIRE_EXECUTE);
    fake_expect(fake, WIRE_SYNC);
    wire_write_empty(out, WIRE_BIND_COMPLETE);
    add_columns(fake);
    wire_write_complete(out, "SEARCH", 0);
    fake_send_ready(fake);
    fake_expect(fake, WIRE_CLOSE);
    fake_expect(fake, WIRE_SYNC);
    wire_write_empty(out, WIRE_CLOSE_COMPLETE);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void a_prepared_statement_is_described_run_and_closed(void **state)
{
    (void)state;
    struct fake *fake = fake_start(prepare_script);
    vc_conn *conn = connect_to(fake);
    vc_result *result = vc_prepare(conn, "s", "SEARCH ...", NULL, 0);
    assert_int_equal(vc_result_state(result), VC_COMMAND);
    vc_result_free(result);
    result = vc_describe_prepared(conn, "s");
    assert_int_equal(vc_result_state(result), VC_COMMAND);
    assert_int_equal(vc_parameters(result), 2);
    assert_int_equal(vc_parameter_type(result, 0), VC_VECTOR);
    assert_int_equal(vc_parameter_type(result, 1), VC_INT);
    assert_string_equal(vc_column_name(result, 0), "id");
    vc_result_free(result);
    result = vc_exec_prepared(conn, "s", NULL, 0);
    assert_int_equal(vc_result_state(result), VC_ROWS);
    assert_int_equal(vc_rows(result), 0);
    vc_result_free(result);
    result = vc_close_prepared(conn, "s");
    assert_int_equal(vc_result_state(result), VC_COMMAND);
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

static void single_row_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    add_columns(fake);
    for (int i = 0; i < 3; i++) {
        add_row(fake, i, "x");
        fake_send(fake);
    }
    wire_write_complete(fake_out(fake), "SELECT", 3);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void single_row_mode_gives_a_result_a_row_and_an_empty_one(void **state)
{
    (void)state;
    struct fake *fake = fake_start(single_row_script);
    vc_conn *conn = connect_to(fake);
    assert_false(vc_single_row_mode(conn));
    assert_true(vc_send_query(conn, "SELECT ..."));
    assert_true(vc_single_row_mode(conn));
    for (int i = 0; i < 3; i++) {
        vc_result *result = vc_get_result(conn);
        assert_int_equal(vc_result_state(result), VC_SINGLE_ROW);
        assert_int_equal(vc_rows(result), 1);
        assert_int_equal(vc_get_value(result, 0, 0)->integer, i);
        assert_string_equal(vc_column_name(result, 1), "name");
        vc_result_free(result);
    }
    vc_result *result = vc_get_result(conn);
    assert_int_equal(vc_result_state(result), VC_ROWS);
    assert_int_equal(vc_rows(result), 0);
    assert_int_equal(vc_affected(result), 3);
    vc_result_free(result);
    assert_null(vc_get_result(conn));
    vc_close(conn);
    fake_stop(fake);
}

static uint32_t expect_execute(struct fake *fake)
{
    struct wire_frame frame = fake_expect(fake, WIRE_EXECUTE);
    struct reader r;
    reader_init(&r, frame.payload, frame.payload_bytes);
    struct wire_str portal;
    uint32_t limit;
    CHECK(wire_read_execute(&r, &portal, &limit));
    fake_expect(fake, WIRE_FLUSH);
    return limit;
}

static void fetch_script(struct fake *fake)
{
    fake_greet(fake);
    struct buf *out = fake_out(fake);
    fake_expect(fake, WIRE_PARSE);
    fake_expect(fake, WIRE_BIND);
    fake_expect(fake, WIRE_DESCRIBE);
    wire_write_empty(out, WIRE_PARSE_COMPLETE);
    wire_write_empty(out, WIRE_BIND_COMPLETE);
    add_columns(fake);
    for (int fetch = 0; fetch < 3; fetch++) {
        CHECK(expect_execute(fake) == 2);
        add_row(fake, 2 * fetch, "x");
        if (fetch < 2) {
            add_row(fake, 2 * fetch + 1, "x");
            wire_write_empty(out, WIRE_PORTAL_SUSPENDED);
        } else {
            wire_write_complete(out, "SELECT", 5);
        }
        fake_send(fake);
    }
    fake_expect(fake, WIRE_SYNC);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void a_row_limit_is_fetched_on_until_the_end(void **state)
{
    (void)state;
    struct fake *fake = fake_start(fetch_script);
    vc_conn *conn = connect_to(fake);
    vc_set_fetch_rows(conn, 2);
    vc_result *result = vc_exec_params(conn, "SELECT ...", NULL, 0);
    assert_int_equal(vc_result_state(result), VC_ROWS);
    assert_int_equal(vc_rows(result), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(vc_get_value(result, i, 0)->integer, i);
    }
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

/* ---- notices, progress, non-blocking use ---- */

static void talkative_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    struct err notice;
    err_set(&notice, ERR_INTERNAL, "a remark");
    wire_write_error(fake_out(fake), WIRE_NOTICE, "NOTICE", &notice);
    wire_write_progress(fake_out(fake), "linking", 5, 10);
    wire_write_status(fake_out(fake), "recall", "0.99");
    wire_write_complete(fake_out(fake), "CHECKPOINT", 0);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void take_notice(void *arg, const vc_result *notice)
{
    assert_int_equal(vc_result_state(notice), VC_NOTICE);
    snprintf(arg, 64, "%s", vc_error_field(notice, VC_FIELD_MESSAGE));
}

static void take_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    snprintf(arg, 64, "%s %u/%u", phase, (unsigned)done, (unsigned)total);
}

static void notices_progress_and_parameters_arrive_on_the_way(void **state)
{
    (void)state;
    struct fake *fake = fake_start(talkative_script);
    vc_conn *conn = connect_to(fake);
    char notice[64] = "", progress[64] = "";
    vc_on_notice(conn, take_notice, notice);
    vc_on_progress(conn, take_progress, progress);
    vc_result *result = vc_exec(conn, "CHECKPOINT");
    assert_int_equal(vc_result_state(result), VC_COMMAND);
    assert_string_equal(notice, "a remark");
    assert_string_equal(progress, "linking 5/10");
    assert_string_equal(vc_parameter_status(conn, "recall"), "0.99");
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

static void non_blocking_use_never_waits_in_the_library(void **state)
{
    (void)state;
    struct fake *fake = fake_start(rows_script);
    vc_conn *conn = connect_to(fake);
    assert_true(vc_set_nonblocking(conn, true));
    assert_true(vc_send_query(conn, "SELECT"));
    while (vc_flush(conn) == 1) {
        struct pollfd ready = {.fd = vc_socket(conn), .events = POLLOUT};
        assert_int_equal(poll(&ready, 1, 10000), 1);
    }
    size_t rows = 0;
    for (;;) {
        while (vc_is_busy(conn)) {
            struct pollfd ready = {.fd = vc_socket(conn), .events = POLLIN};
            assert_int_equal(poll(&ready, 1, 10000), 1);
            assert_true(vc_consume(conn));
        }
        vc_result *result = vc_get_result(conn);
        if (result == NULL) {
            break;
        }
        rows += vc_rows(result);
        vc_result_free(result);
    }
    assert_int_equal(rows, 2);
    vc_close(conn);
    fake_stop(fake);
}

/* ---- the server's faults ---- */

static void dying_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    add_columns(fake);
    add_row(fake, 1, "x");
    fake_send(fake);
}

static void a_server_that_dies_in_the_middle_is_an_error(void **state)
{
    (void)state;
    struct fake *fake = fake_start(dying_script);
    vc_conn *conn = connect_to(fake);
    vc_result *result = vc_exec(conn, "SELECT");
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), "08006");
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    assert_non_null(strstr(vc_error_message(conn), "closed the connection"));
    vc_result_free(result);
    assert_null(vc_get_result(conn));
    assert_false(vc_send_query(conn, "SELECT"));
    vc_close(conn);
    fake_stop(fake);
}

static void farewell_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    fake_send_error(fake, ERR_SHUTTING_DOWN, "the server is shutting down");
}

static void the_last_words_of_a_server_are_its_error(void **state)
{
    (void)state;
    struct fake *fake = fake_start(farewell_script);
    vc_conn *conn = connect_to(fake);
    vc_result *result = vc_exec(conn, "SELECT");
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), "57P01");
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

/* Each byte string is sent as the answer to a QUERY. */
static const char *const bad_answers[] = {
    "w\x02\0\0\0\0\0",     /* ROW without columns */
    "k\x01\0\0\0x",        /* COMMAND_COMPLETE cut off */
    "\xff\0\0\0\0",        /* no such message */
    "r\x02\0\0\0\xff\xff", /* ROW_DESCRIPTION that promises more */
    "Z\x01\0\0\0x",        /* READY with a payload is taken; what follows is not */
    "w\xff\xff\xff\xff",   /* over the limit */
    "u\0\0\0\0",           /* PORTAL_SUSPENDED of nothing */
};
static const size_t bad_answer_bytes[] = {7, 6, 5, 7, 6, 5, 5};
static size_t bad_answer;

static void bad_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    buf_bytes(fake_out(fake), bad_answers[bad_answer], bad_answer_bytes[bad_answer]);
    fake_send(fake);
}

static void an_answer_that_is_none_ends_the_connection(void **state)
{
    (void)state;
    for (bad_answer = 0; bad_answer < COUNT_OF(bad_answers); bad_answer++) {
        struct fake *fake = fake_start(bad_script);
        vc_conn *conn = connect_to(fake);
        vc_result *result = vc_exec(conn, "SELECT");
        vc_result_free(result);
        result = vc_exec(conn, "SELECT");
        assert_int_equal(vc_result_state(result), VC_ERROR);
        assert_int_equal(vc_status(conn), VC_CONN_BAD);
        vc_result_free(result);
        vc_close(conn);
        fake_stop(fake);
    }
}

/* ---- memory ---- */

/* A server of its own process, where no allocation fails.  Its conninfo goes to @conninfo. */
static pid_t fork_server(fake_script *script, char *conninfo, size_t bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fake *fake = fake_start(script);
        const char *text = fake_conninfo(fake);
        CHECK(write(ends[1], text, strlen(text) + 1) > 0);
        fake_stop(fake);
        _exit(0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], conninfo, bytes);
    assert_true(n > 0);
    close(ends[0]);
    return pid;
}

/* It may still wait for a client that never came. */
static void end_server(pid_t pid, const char *conninfo)
{
    char path[200];
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(sscanf(conninfo, "host=%199s", path), 1);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

/* Whatever the client asks. */
static void patient_script(struct fake *fake)
{
    fake_greet(fake);
    struct wire_frame frame;
    while ((frame = fake_expect_any(fake)).type != WIRE_TERMINATE) {
        if (frame.type == WIRE_QUERY || frame.type == WIRE_EXECUTE) {
            add_columns(fake);
            add_row(fake, 1, "one");
            wire_write_complete(fake_out(fake), "SELECT", 1);
        }
        if (frame.type == WIRE_QUERY || frame.type == WIRE_SYNC) {
            fake_send_ready(fake);
        }
    }
}

/* True where all went well. */
static bool run_session(const char *conninfo)
{
    vc_conn *conn = vc_connect(conninfo);
    bool is_ok = vc_status(conn) == VC_CONN_OK;
    float vector[] = {1, 2};
    vc_value params[] = {vc_vector(vector, 2), vc_string("x")};
    for (int i = 0; conn != NULL && i < 2; i++) {
        vc_result *result =
            i == 0 ? vc_exec(conn, "SELECT") : vc_exec_params(conn, "SELECT", params, 2);
        is_ok = is_ok && vc_result_state(result) == VC_ROWS && vc_text(result, 0, 0)[0] == '1';
        if (vc_result_state(result) == VC_ERROR) {
            assert_true(strlen(vc_result_error(result)) > 0);
            assert_true(strlen(vc_error_message(conn)) > 0);
        }
        vc_result_free(result);
    }
    vc_close(conn);
    return is_ok;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    if (!fault_is_built()) {
        skip();
    }
    bool is_ok = false;
    uint64_t n = 1, calls = 0;
    for (; !is_ok || calls >= n; n++) {
        char conninfo[256];
        pid_t pid = fork_server(patient_script, conninfo, sizeof(conninfo));
        fault_arm(FAULT_MALLOC, n, 1);
        is_ok = run_session(conninfo);
        calls = fault_calls(FAULT_MALLOC);
        fault_disarm_all();
        assert_true(is_ok || calls >= n); /* Only where the fault was met. */
        end_server(pid, conninfo);
        assert_true(n < 1000);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_knows_its_session_and_its_server),
        cmocka_unit_test(a_polled_connect_ends_like_a_blocking_one),
        cmocka_unit_test(a_refusal_is_told_in_the_servers_words),
        cmocka_unit_test(a_silent_server_is_given_up_after_connect_timeout),
        cmocka_unit_test(something_else_that_answers_is_no_server),
        cmocka_unit_test(nobody_at_the_address_is_an_error_that_names_it),
        cmocka_unit_test(a_client_that_polls_gets_the_same_answers),
        cmocka_unit_test(a_select_gives_typed_rows),
        cmocka_unit_test(an_error_has_its_fields_and_ends_the_text),
        cmocka_unit_test(parameters_travel_there_and_back),
        cmocka_unit_test(a_prepared_statement_is_described_run_and_closed),
        cmocka_unit_test(single_row_mode_gives_a_result_a_row_and_an_empty_one),
        cmocka_unit_test(a_row_limit_is_fetched_on_until_the_end),
        cmocka_unit_test(notices_progress_and_parameters_arrive_on_the_way),
        cmocka_unit_test(non_blocking_use_never_waits_in_the_library),
        cmocka_unit_test(a_server_that_dies_in_the_middle_is_an_error),
        cmocka_unit_test(the_last_words_of_a_server_are_its_error),
        cmocka_unit_test(an_answer_that_is_none_ends_the_connection),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
