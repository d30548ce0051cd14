/* A statement goes to the server and its results come to the screen. */
#include "client/shell/shell_int.h"

#include <stdlib.h>
#include <string.h>

static void remember(struct shell *shell, const vc_result *result)
{
    bool is_error = vc_result_state(result) == VC_ERROR;
    char count[32];
    snprintf(count, sizeof(count), "%llu",
             is_error ? 0ULL : (unsigned long long)vc_affected(result));
    const char *sqlstate = is_error ? vc_error_field(result, VC_FIELD_SQLSTATE) : "00000";
    if (!vars_set(&shell->vars, "ERROR", is_error ? "true" : "false") ||
        !vars_set(&shell->vars, "SQLSTATE", sqlstate) ||
        !vars_set(&shell->vars, "ROW_COUNT", count)) {
        shell_complain(shell, "out of memory for variables");
    }
}

/* Shows one result.  False where it is an error. */
static bool show(struct shell *shell, vc_result *result, const char *vql)
{
    switch (vc_result_state(result)) {
    case VC_ROWS:
    case VC_SINGLE_ROW:
        print_result(shell, result);
        return true;
    case VC_COMMAND:
        if (!shell->has_copied) {
            print_tag(shell, result);
        }
        return true;
    case VC_COPY_IN:
        return copy_in_from_source(shell, result);
    case VC_COPY_OUT:
        return copy_out_to(shell, shell->out);
    case VC_ERROR:
        bar_free(shell->bar);
        shell->bar = NULL;
        report_result(shell, result, vql);
        return false;
    case VC_EMPTY:
    case VC_PIPELINE_SYNC:
    case VC_PIPELINE_ABORTED:
    case VC_NOTICE:
        return true;
    }
    return true;
}

vc_result *statement_rows(struct shell *shell, const char *vql)
{
    vc_result *rows = NULL, *result;
    if (!statement_is_connected(shell)) {
        return NULL;
    }
    statement_begin(shell);
    if (!vc_send_query(shell->conn, vql)) {
        shell_complain(shell, "%s", vc_error_message(shell->conn));
        return NULL;
    }
    while ((result = statement_result(shell)) != NULL) {
        if (vc_result_state(result) == VC_ERROR) {
            report_result(shell, result, vql);
        } else if (vc_result_state(result) == VC_ROWS && rows == NULL) {
            rows = result;
            continue;
        }
        vc_result_free(result);
    }
    statement_after(shell);
    return rows;
}

static void remember_statement(struct shell *shell, const char *vql)
{
    char *copy = strdup(vql);
    if (copy != NULL) {
        free(shell->last_vql);
        shell->last_vql = copy;
    }
}

bool statement_run(struct shell *shell, const char *vql)
{
    const char *echo = vars_get(shell->vars, "ECHO");
    if (echo != NULL && strcmp(echo, "queries") == 0) {
        fprintf(shell->out, "%s;\n", vql);
    }
    remember_statement(shell, vql);
    if (!statement_is_connected(shell)) {
        return false;
    }
    statement_begin(shell);
    uint64_t begun_us = clock_micros();
    bool is_ok = vc_send_query(shell->conn, vql);
    if (!is_ok) {
        shell_complain(shell, "%s", vc_error_message(shell->conn));
    }
    vc_result *result;
    while ((result = statement_result(shell)) != NULL) {
        bar_free(shell->bar);
        shell->bar = NULL;
        remember(shell, result);
        is_ok = show(shell, result, vql) && is_ok;
        vc_result_free(result);
    }
    if (shell->set.timing) {
        print_time(shell, clock_micros() - begun_us);
    }
    is_ok = out_flush(shell) && is_ok;
    statement_after(shell);
    return is_ok;
}
