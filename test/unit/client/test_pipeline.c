/* Pipeline mode, and COPY, against a server that plays scripts. */
#include "client/vclient.h"

#include "fake_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static vc_conn *connect_to(struct fake *fake)
{
    vc_conn *conn = vc_connect(fake_conninfo(fake));
    if (vc_status(conn) != VC_CONN_OK) {
        fail_msg("%s", vc_error_message(conn));
    }
    return conn;
}

static void assert_next(vc_conn *conn, vc_result_status state)
{
    vc_result *result = vc_get_result(conn);
    assert_non_null(result);
    assert_int_equal(vc_result_state(result), state);
    vc_result_free(result);
}

static void close_both(vc_conn *conn, struct fake *fake)
{
    vc_close(conn);
    fake_stop(fake);
}

/* ---- pipelines ---- */

static void expect_statement(struct fake *fake)
{
    fake_expect(fake, WIRE_PARSE);
    fake_expect(fake, WIRE_BIND);
    fake_expect(fake, WIRE_DESCRIBE);
    fake_expect(fake, WIRE_EXECUTE);
}

static void add_done(struct fake *fake)
{
    struct buf *out = fake_out(fake);
    wire_write_empty(out, WIRE_PARSE_COMPLETE);
    wire_write_empty(out, WIRE_BIND_COMPLETE);
    wire_write_empty(out, WIRE_NO_DATA);
    wire_write_complete(out, "INSERT", 1);
}

/* a, b (fails), c, sync; d, sync */
static void error_in_the_middle_script(struct fake *fake)
{
    fake_greet(fake);
    for (int i = 0; i < 3; i++) {
        expect_statement(fake);
    }
    fake_expect(fake, WIRE_SYNC);
    expect_statement(fake);
    fake_expect(fake, WIRE_SYNC);
    add_done(fake);
    fake_send_error(fake, ERR_DUPLICATE_KEY, "duplicate key");
    fake_send_ready(fake);
    add_done(fake);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void an_error_aborts_a_pipeline_up_to_the_next_sync(void **state)
{
    (void)state;
    struct fake *fake = fake_start(error_in_the_middle_script);
    vc_conn *conn = connect_to(fake);
    assert_true(vc_enter_pipeline(conn));
    for (int i = 0; i < 3; i++) {
        assert_true(vc_send_params(conn, "INSERT", NULL, 0));
    }
    assert_true(vc_pipeline_sync(conn));
    assert_true(vc_send_query(conn, "INSERT"));
    assert_true(vc_pipeline_sync(conn));
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    assert_next(conn, VC_ERROR);
    assert_null(vc_get_result(conn));
    assert_next(conn, VC_PIPELINE_ABORTED);
    assert_null(vc_get_result(conn));
    assert_next(conn, VC_PIPELINE_SYNC);
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    assert_false(vc_exit_pipeline(conn)); /* The sync is still to be taken. */
    assert_next(conn, VC_PIPELINE_SYNC);
    assert_null(vc_get_result(conn));
    assert_true(vc_exit_pipeline(conn));
    close_both(conn, fake);
}

static void prepared_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_PARSE);
    fake_expect(fake, WIRE_BIND);
    fake_expect(fake, WIRE_DESCRIBE);
    fake_expect(fake, WIRE_EXECUTE);
    fake_expect(fake, WIRE_SYNC);
    struct buf *out = fake_out(fake);
    wire_write_empty(out, WIRE_PARSE_COMPLETE);
    wire_write_empty(out, WIRE_BIND_COMPLETE);
    wire_write_empty(out, WIRE_NO_DATA);
    wire_write_complete(out, "INSERT", 1);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void a_statement_is_prepared_and_run_in_one_pipeline(void **state)
{
    (void)state;
    struct fake *fake = fake_start(prepared_script);
    vc_conn *conn = connect_to(fake);
    assert_true(vc_enter_pipeline(conn));
    assert_true(vc_send_prepare(conn, "s", "INSERT", NULL, 0));
    assert_true(vc_send_prepared(conn, "s", NULL, 0));
    assert_true(vc_pipeline_sync(conn));
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    assert_next(conn, VC_PIPELINE_SYNC);
    close_both(conn, fake);
}

static void blocking_calls_and_pipelines_do_not_mix(void **state)
{
    (void)state;
    struct fake *fake = fake_start(prepared_script);
    vc_conn *conn = connect_to(fake);
    assert_false(vc_pipeline_sync(conn));
    assert_true(vc_enter_pipeline(conn));
    vc_result *result = vc_exec(conn, "SELECT");
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_non_null(strstr(vc_error_message(conn), "pipeline"));
    vc_result_free(result);
    assert_true(vc_send_prepare(conn, "s", "INSERT", NULL, 0));
    assert_true(vc_send_prepared(conn, "s", NULL, 0));
    assert_true(vc_pipeline_sync(conn));
    assert_int_equal(vc_flush(conn), 0);
    close_both(conn, fake);
}

enum {
    MANY = 5000
};

/* Answers each statement as it comes, so that both directions are full of bytes. */
static void many_script(struct fake *fake)
{
    fake_greet(fake);
    for (int i = 0; i < MANY; i++) {
        expect_statement(fake);
        fake_expect(fake, WIRE_SYNC);
        add_done(fake);
        fake_send_ready(fake);
    }
    fake_expect_end(fake);
}

static void thousands_of_statements_in_flight_do_not_lock_up(void **state)
{
    (void)state;
    struct fake *fake = fake_start(many_script);
    vc_conn *conn = connect_to(fake);
    char text[600];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_true(vc_enter_pipeline(conn));
    for (int i = 0; i < MANY; i++) {
        assert_true(vc_send_params(conn, text, NULL, 0));
        assert_true(vc_pipeline_sync(conn));
    }
    for (int i = 0; i < MANY; i++) {
        assert_next(conn, VC_COMMAND);
        assert_null(vc_get_result(conn));
        assert_next(conn, VC_PIPELINE_SYNC);
    }
    assert_true(vc_exit_pipeline(conn));
    close_both(conn, fake);
}

static void dying_script(struct fake *fake)
{
    fake_greet(fake);
    expect_statement(fake);
    add_done(fake);
    fake_send(fake);
}

static void a_server_that_dies_ends_a_pipeline_with_one_error(void **state)
{
    (void)state;
    struct fake *fake = fake_start(dying_script);
    vc_conn *conn = connect_to(fake);
    assert_true(vc_enter_pipeline(conn));
    for (int i = 0; i < 3; i++) {
        assert_true(vc_send_params(conn, "INSERT", NULL, 0));
    }
    assert_true(vc_pipeline_sync(conn));
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    assert_next(conn, VC_ERROR);
    assert_null(vc_get_result(conn));
    assert_null(vc_get_result(conn));
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    close_both(conn, fake);
}

/* ---- COPY in ---- */

static void begin_copy_in(struct fake *fake, uint8_t format)
{
    static const uint8_t types[] = {TYPE_INT, TYPE_VECTOR};
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    wire_write_copy(fake_out(fake), WIRE_COPY_IN, format, types, 2);
    fake_send(fake);
}

static void copy_text_script(struct fake *fake)
{
    begin_copy_in(fake, 1);
    struct wire_frame frame = fake_expect(fake, WIRE_COPY_DATA);
    CHECK(frame.payload_bytes == 4 && memcmp(frame.payload, "1,2\n", 4) == 0);
    fake_expect(fake, WIRE_COPY_DONE);
    wire_write_complete(fake_out(fake), "COPY", 1);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void copy_in_sends_what_is_put(void **state)
{
    (void)state;
    struct fake *fake = fake_start(copy_text_script);
    vc_conn *conn = connect_to(fake);
    assert_false(vc_put_copy_data(conn, "x", 1));
    vc_result *result = vc_exec(conn, "COPY t FROM STDIN");
    assert_int_equal(vc_result_state(result), VC_COPY_IN);
    assert_int_equal(vc_copy_format(result), 1);
    assert_int_equal(vc_parameters(result), 2);
    assert_int_equal(vc_parameter_type(result, 1), VC_VECTOR);
    vc_result_free(result);
    assert_false(vc_send_query(conn, "SELECT")); /* Not before the COPY ends. */
    assert_true(vc_put_copy_data(conn, "1,2\n", 4));
    assert_true(vc_put_copy_end(conn, NULL));
    result = vc_get_result(conn);
    assert_int_equal(vc_result_state(result), VC_COMMAND);
    assert_int_equal(vc_affected(result), 1);
    vc_result_free(result);
    assert_null(vc_get_result(conn));
    close_both(conn, fake);
}

enum {
    COPY_ROWS = 3000,
    COPY_DIM = 40
};

/* Reads rows of the binary format, cut anywhere, and checks each. */
static void copy_rows_script(struct fake *fake)
{
    begin_copy_in(fake, 3);
    struct buf data;
    buf_init(&data, MEM_GENERAL, 64 << 20);
    size_t expected = COPY_ROWS * (2 + 9 + 5 + COPY_DIM * sizeof(float));
    while (data.bytes < expected) {
        struct wire_frame frame = fake_expect(fake, WIRE_COPY_DATA);
        buf_bytes(&data, frame.payload, frame.payload_bytes);
    }
    fake_expect(fake, WIRE_COPY_DONE);
    struct arena *arena = arena_new(MEM_GENERAL, 64 << 20);
    CHECK(arena != NULL);
    struct reader r;
    reader_init(&r, data.data, data.bytes);
    for (int64_t i = 0; i < COPY_ROWS; i++) {
        CHECK(reader_u16(&r) == 2);
        struct value id = value_read(&r, arena), vector = value_read(&r, arena);
        CHECK(id.type == TYPE_INT && id.integer == i);
        CHECK(vector.type == TYPE_VECTOR && vector.vector.dim == COPY_DIM);
        CHECK(vector.vector.data[0] >= (float)i && vector.vector.data[0] <= (float)i);
    }
    CHECK(reader_done(&r));
    arena_free(arena);
    buf_fini(&data);
    wire_write_complete(fake_out(fake), "COPY", COPY_ROWS);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void binary_rows_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct fake *fake = fake_start(copy_rows_script);
    vc_conn *conn = connect_to(fake);
    vc_result_free(vc_exec(conn, "COPY t FROM STDIN WITH (FORMAT binary)"));
    float vector[COPY_DIM] = {0};
    for (int i = 0; i < COPY_ROWS; i++) {
        vector[0] = (float)i;
        vc_value row[] = {vc_int(i), vc_vector(vector, COPY_DIM)};
        assert_true(vc_put_copy_row(conn, row, 2));
    }
    assert_true(vc_put_copy_end(conn, NULL));
    assert_next(conn, VC_COMMAND);
    close_both(conn, fake);
}

static void refused_copy_script(struct fake *fake)
{
    begin_copy_in(fake, 1);
    fake_expect(fake, WIRE_COPY_DATA);
    fake_send_error(fake, ERR_BAD_COPY_DATA, "line 1: too few columns");
    fake_send_ready(fake);
    struct wire_frame frame;
    do { /* Until the client has seen it, it sends more. */
        frame = fake_expect_any(fake);
    } while (frame.type == WIRE_COPY_DATA);
    CHECK(frame.type == WIRE_TERMINATE);
}

static void a_refused_copy_is_noticed_before_its_end(void **state)
{
    (void)state;
    struct fake *fake = fake_start(refused_copy_script);
    vc_conn *conn = connect_to(fake);
    vc_result_free(vc_exec(conn, "COPY t FROM STDIN"));
    static const char piece[64 << 10];
    size_t puts = 0;
    while (vc_put_copy_data(conn, piece, sizeof(piece))) {
        assert_true(++puts < 100000);
    }
    vc_result *result = vc_get_result(conn);
    assert_int_equal(vc_result_state(result), VC_ERROR);
    if (vc_status(conn) == VC_CONN_OK) {
        assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), "22P04");
    }
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

static void given_up_script(struct fake *fake)
{
    begin_copy_in(fake, 1);
    struct wire_frame frame = fake_expect(fake, WIRE_COPY_FAIL);
    struct reader r;
    reader_init(&r, frame.payload, frame.payload_bytes);
    struct wire_str reason;
    CHECK(wire_read_text(&r, &reason) && reason.bytes == 6 &&
          memcmp(reason.data, "reason", 6) == 0);
    fake_send_error(fake, ERR_CANCELED, "COPY failed: reason");
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void a_copy_that_is_given_up_ends_with_an_error(void **state)
{
    (void)state;
    struct fake *fake = fake_start(given_up_script);
    vc_conn *conn = connect_to(fake);
    vc_result_free(vc_exec(conn, "COPY t FROM STDIN"));
    assert_true(vc_put_copy_data(conn, "", 0));
    assert_true(vc_put_copy_end(conn, "reason"));
    assert_next(conn, VC_ERROR);
    assert_null(vc_get_result(conn));
    close_both(conn, fake);
}

/* COPY as a statement with parameters: a SYNC that came amid the data does not count. */
static void extended_copy_script(struct fake *fake)
{
    static const uint8_t types[] = {TYPE_INT};
    fake_greet(fake);
    expect_statement(fake);
    wire_write_empty(fake_out(fake), WIRE_PARSE_COMPLETE);
    wire_write_empty(fake_out(fake), WIRE_BIND_COMPLETE);
    wire_write_empty(fake_out(fake), WIRE_NO_DATA);
    wire_write_copy(fake_out(fake), WIRE_COPY_IN, 1, types, 1);
    fake_send(fake);
    fake_expect(fake, WIRE_SYNC);
    fake_expect(fake, WIRE_COPY_DATA);
    fake_expect(fake, WIRE_COPY_DONE);
    wire_write_complete(fake_out(fake), "COPY", 1);
    fake_send(fake);
    fake_expect(fake, WIRE_SYNC);
    fake_send_ready(fake);
    fake_expect_end(fake);
}

static void a_copy_with_parameters_syncs_behind_its_data(void **state)
{
    (void)state;
    struct fake *fake = fake_start(extended_copy_script);
    vc_conn *conn = connect_to(fake);
    vc_result *result = vc_exec_params(conn, "COPY t FROM STDIN", NULL, 0);
    assert_int_equal(vc_result_state(result), VC_COPY_IN);
    vc_result_free(result);
    assert_true(vc_put_copy_data(conn, "1\n", 2));
    assert_true(vc_put_copy_end(conn, NULL));
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    close_both(conn, fake);
}

/* ---- COPY out ---- */

static void copy_out_script(struct fake *fake)
{
    static const uint8_t types[] = {TYPE_INT};
    fake_greet(fake);
    for (int round = 0; round < 2; round++) {
        fake_expect(fake, WIRE_QUERY);
        wire_write_copy(fake_out(fake), WIRE_COPY_OUT, 1, types, 1);
        for (int i = 0; i < 3; i++) {
            size_t at = wire_begin(fake_out(fake), WIRE_COPY_DATA);
            buf_printf(fake_out(fake), "%d\n", i);
            wire_end(fake_out(fake), at);
        }
        fake_send(fake);
        if (round == 0) {
            wire_write_empty(fake_out(fake), WIRE_COPY_DONE);
            wire_write_complete(fake_out(fake), "COPY", 3);
        } else {
            fake_send_error(fake, ERR_CANCELED, "canceled");
        }
        fake_send_ready(fake);
    }
    fake_expect_end(fake);
}

static void read_copy(vc_conn *conn, ptrdiff_t end)
{
    vc_result_free(vc_exec(conn, "COPY t TO STDOUT"));
    const void *data;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vc_get_copy_data(conn, &data), 2);
        assert_int_equal(((const char *)data)[0], '0' + i);
    }
    assert_int_equal(vc_get_copy_data(conn, &data), end);
}

static void copy_out_gives_the_data_and_then_how_it_went(void **state)
{
    (void)state;
    struct fake *fake = fake_start(copy_out_script);
    vc_conn *conn = connect_to(fake);
    read_copy(conn, 0);
    assert_next(conn, VC_COMMAND);
    assert_null(vc_get_result(conn));
    read_copy(conn, -1);
    assert_next(conn, VC_ERROR);
    assert_null(vc_get_result(conn));
    close_both(conn, fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_aborts_a_pipeline_up_to_the_next_sync),
        cmocka_unit_test(a_statement_is_prepared_and_run_in_one_pipeline),
        cmocka_unit_test(blocking_calls_and_pipelines_do_not_mix),
        cmocka_unit_test(thousands_of_statements_in_flight_do_not_lock_up),
        cmocka_unit_test(a_server_that_dies_ends_a_pipeline_with_one_error),
        cmocka_unit_test(copy_in_sends_what_is_put),
        cmocka_unit_test(binary_rows_arrive_whole_and_in_order),
        cmocka_unit_test(a_refused_copy_is_noticed_before_its_end),
        cmocka_unit_test(a_copy_that_is_given_up_ends_with_an_error),
        cmocka_unit_test(a_copy_with_parameters_syncs_behind_its_data),
        cmocka_unit_test(copy_out_gives_the_data_and_then_how_it_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
