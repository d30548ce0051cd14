/* Canceling a statement, and giving up a connection, against a scripted server. */
#include "client/vclient.h"

#include "fake_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static vc_conn *connect_to(const struct fake *fake)
{
    vc_conn *conn = vc_connect(fake_conninfo(fake));
    assert_int_equal(vc_status(conn), VC_CONN_OK);
    return conn;
}

static void cancel_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    fake_accept(fake);
    struct wire_frame frame = fake_expect(fake, WIRE_CANCEL);
    struct reader r;
    reader_init(&r, frame.payload, frame.payload_bytes);
    struct wire_key key;
    CHECK(wire_read_key(&r, WIRE_CANCEL, &key));
    CHECK(key.session == FAKE_SESSION && key.secret == FAKE_SECRET);
}

static void a_cancel_carries_the_sessions_key(void **state)
{
    (void)state;
    struct fake *fake = fake_start(cancel_script);
    vc_conn *conn = connect_to(fake);
    vc_cancel *cancel = vc_get_cancel(conn);
    assert_non_null(cancel);
    assert_true(vc_send_query(conn, "SELECT"));
    char error[128] = "";
    assert_true(vc_cancel_send(cancel, 0, error, sizeof(error)));
    assert_string_equal(error, "");
    vc_close(conn);
    fake_stop(fake);
    assert_false(vc_cancel_send(cancel, 0, error, sizeof(error)));
    assert_non_null(strstr(error, "could not send the cancel"));
    vc_cancel_free(cancel);
}

static void deaf_script(struct fake *fake)
{
    fake_greet(fake);
    fake_expect(fake, WIRE_QUERY);
    fake_expect_end(fake); /* The cancel is left in the queue of the listener. */
}

static void a_cancel_waits_no_longer_than_it_may(void **state)
{
    (void)state;
    struct fake *fake = fake_start(deaf_script);
    vc_conn *conn = connect_to(fake);
    vc_cancel *cancel = vc_get_cancel(conn);
    assert_true(vc_send_query(conn, "SELECT"));
    char error[128] = "";
    uint64_t begun_us = clock_micros();
    assert_false(vc_cancel_send(cancel, 100, error, sizeof(error)));
    assert_in_range(clock_micros() - begun_us, 100000, 5000000);
    assert_non_null(strstr(error, "the server has not taken it"));
    vc_cancel_free(cancel);
    /* The connection can be given up, and what runs ends. */
    vc_break(conn, "enough of it");
    vc_result *result = vc_get_result(conn);
    assert_int_equal(vc_result_state(result), VC_ERROR);
    assert_non_null(strstr(vc_result_error(result), "enough of it"));
    vc_result_free(result);
    assert_null(vc_get_result(conn));
    assert_int_equal(vc_status(conn), VC_CONN_BAD);
    vc_close(conn);
    fake_stop(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_carries_the_sessions_key),
        cmocka_unit_test(a_cancel_waits_no_longer_than_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
