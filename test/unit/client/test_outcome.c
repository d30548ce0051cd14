/* What the client says of statements whose answer was lost with the connection. */
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

static void leaving_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
}

/* What was sent and not answered may have happened, unless it only reads. */
static void a_write_whose_answer_is_lost_is_told_to_be_unknown(void **state)
{
    static const struct {
        const char *text, *sqlstate;
    } statements[] = {
        {"INSERT INTO c VALUES (1)", "40003"},
        {" -- ; why\n /* x */ update c SET a = 1", "40003"},
        {"DELETE FROM c", "40003"},
        {"COPY c FROM STDIN", "40003"},
        {"CREATE COLLECTION c (id INT PRIMARY KEY)", "40003"},
        {"EXPLAIN ANALYZE DELETE FROM c", "40003"},
        {"SELECT 1; DELETE FROM c", "40003"},
        {"selection", "40003"},
        {"SELECT 1;", "08006"},
        {"/* DELETE */ search id FROM c NEAR $1 LIMIT 1 ; ", "08006"},
        {"EXPLAIN DELETE FROM c", "08006"},
        {"COPY c TO STDOUT", "08006"},
        {"SHOW ALL", "08006"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        struct fake *fake = fake_start(leaving_script);
        vc_conn *conn = connect_to(fake);
        vc_result *result = vc_exec(conn, statements[i].text);
        assert_int_equal(vc_result_state(result), VC_ERROR);
        assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), statements[i].sqlstate);
        bool is_unknown = strcmp(statements[i].sqlstate, "40003") == 0;
        assert_int_equal(is_unknown, strstr(vc_result_error(result), "1 write was") != NULL);
        assert_int_equal(is_unknown, strstr(vc_result_error(result), "Read the rows") != NULL);
        vc_result_free(result);
        vc_close(conn);
        fake_stop(fake);
    }
}

static void leaving_prepared_script(struct fake *fake)
{
    fake_greet(fake);
    for (int i = 0; i < 2; i++) {
        fake_expect(fake, WIRE_PARSE);
        fake_expect(fake, WIRE_SYNC);
        wire_write_empty(fake_out(fake), WIRE_PARSE_COMPLETE);
        fake_send_ready(fake);
    }
    fake_expect(fake, WIRE_BIND);
    fake_expect(fake, WIRE_DESCRIBE);
    fake_expect(fake, WIRE_EXECUTE);
    fake_expect(fake, WIRE_SYNC);
}

static void a_prepared_write_whose_answer_is_lost_is_told_to_be_unknown(void **state)
{
    static const char *const names[] = {"writes", "reads"}, *const codes[] = {"40003", "08006"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct fake *fake = fake_start(leaving_prepared_script);
        vc_conn *conn = connect_to(fake);
        vc_result_free(vc_prepare(conn, "reads", "SELECT 1", NULL, 0));
        vc_result_free(vc_prepare(conn, "writes", "DELETE FROM c", NULL, 0));
        vc_result *result = vc_exec_prepared(conn, names[i], NULL, 0);
        assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), codes[i]);
        vc_result_free(result);
        vc_close(conn);
        fake_stop(fake);
    }
}

/* Three inserts and a select; the first is answered. */
static void leaving_pipeline_script(struct fake *fake)
{
    fake_greet(fake);
    for (int i = 0; i < 4; i++) {
        fake_expect(fake, WIRE_PARSE);
        fake_expect(fake, WIRE_BIND);
        fake_expect(fake, WIRE_DESCRIBE);
        fake_expect(fake, WIRE_EXECUTE);
    }
    fake_expect(fake, WIRE_SYNC);
    struct buf *out = fake_out(fake);
    wire_write_empty(out, WIRE_PARSE_COMPLETE);
    wire_write_empty(out, WIRE_BIND_COMPLETE);
    wire_write_empty(out, WIRE_NO_DATA);
    wire_write_complete(out, "INSERT", 1);
    fake_send(fake);
}

static void the_writes_of_a_pipeline_that_were_not_answered_are_counted(void **state)
{
    (void)state;
    struct fake *fake = fake_start(leaving_pipeline_script);
    vc_conn *conn = connect_to(fake);
    assert_true(vc_enter_pipeline(conn));
    for (int i = 0; i < 3; i++) {
        assert_true(vc_send_params(conn, "INSERT INTO c VALUES (1)", NULL, 0));
    }
    assert_true(vc_send_params(conn, "SELECT 1", NULL, 0));
    assert_true(vc_pipeline_sync(conn));
    vc_result *result = vc_get_result(conn);
    assert_int_equal(vc_result_state(result), VC_COMMAND);
    vc_result_free(result);
    assert_null(vc_get_result(conn));
    result = vc_get_result(conn);
    assert_string_equal(vc_error_field(result, VC_FIELD_SQLSTATE), "40003");
    assert_non_null(strstr(vc_result_error(result), "2 writes were under way"));
    vc_result_free(result);
    vc_close(conn);
    fake_stop(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_whose_answer_is_lost_is_told_to_be_unknown),
        cmocka_unit_test(a_prepared_write_whose_answer_is_lost_is_told_to_be_unknown),
        cmocka_unit_test(the_writes_of_a_pipeline_that_were_not_answered_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
