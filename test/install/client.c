/* A stranger's first program against the installed libvclient: connects, asks, prints.
 *
 * Exits with 0 where the server answered, 2 where the statement failed, 3 where the connection did,
 * each with the library's message on stderr. */
#include <stdio.h>
#include <vclient.h>

int main(int argc, char **argv)
{
    vc_conn *conn = vc_connect(argc > 1 ? argv[1] : NULL);
    if (vc_status(conn) != VC_CONN_OK) {
        fprintf(stderr, "%s\n", vc_error_message(conn));
        vc_close(conn);
        return 3;
    }
    vc_result *result = vc_exec(conn, argc > 2 ? argv[2] : "SELECT 1");
    int status = 0;
    if (vc_result_state(result) == VC_ERROR) {
        fprintf(stderr, "%s\n", vc_result_error(result));
        status = 2;
    }
    for (size_t row = 0; row < vc_rows(result); row++) {
        printf("%s\n", vc_text(result, row, 0));
    }
    vc_result_free(result);
    vc_close(conn);
    return status;
}
