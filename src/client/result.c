/* Results: what a statement gave, in memory of its own.
 *
 * All that a result points to lives in its arena, but for the arrays that grow with its rows. */
#include "client/client_int.h"

#include <string.h>

enum {
    RESULT_ROWS_FIRST = 16,
    RESULT_TEXT_BYTES_MAX = 1 << 30
};

vc_result *result_new(vc_result_status state)
{
    vc_result *result = mem_zalloc(MEM_GENERAL, sizeof(*result));
    if (result == NULL) {
        return NULL;
    }
    result->state = state;
    result->tag = result->severity = result->sqlstate = result->position = result->rendered = "";
    result->arena = arena_new(MEM_GENERAL, SIZE_MAX);
    if (result->arena == NULL) {
        mem_free(MEM_GENERAL, result);
        return NULL;
    }
    return result;
}

void vc_result_free(vc_result *result)
{
    if (result == NULL) {
        return;
    }
    arena_free(result->arena);
    mem_free(MEM_GENERAL, result->values);
    mem_free(MEM_GENERAL, result->texts);
    mem_free(MEM_GENERAL, result);
}

/* ---- building ---- */

bool result_read_columns(vc_result *result, struct reader *r)
{
    uint16_t n;
    CHECK(result->n_columns == 0);
    if (!wire_read_column_count(r, &n)) {
        return false;
    }
    struct result_column *columns = arena_array(result->arena, n, sizeof(*columns));
    if (columns == NULL) {
        return false;
    }
    for (uint16_t i = 0; i < n; i++) {
        struct wire_column m;
        if (!wire_read_column(r, &m)) {
            return false;
        }
        columns[i] = (struct result_column){arena_strndup(result->arena, m.name.data, m.name.bytes),
                                            (vc_type)m.type, m.dim};
        if (columns[i].name == NULL) {
            return false;
        }
    }
    result->columns = columns;
    result->n_columns = n;
    return reader_done(r);
}

bool result_copy_columns(vc_result *result, const vc_result *from)
{
    CHECK(result->columns == NULL && result->n_rows == 0 && result != from);
    struct result_column *columns =
        arena_array(result->arena, from->n_columns, sizeof(*result->columns));
    if (columns == NULL) {
        return false;
    }
    for (size_t i = 0; i < from->n_columns; i++) {
        columns[i] = from->columns[i];
        columns[i].name = arena_strndup(result->arena, columns[i].name, strlen(columns[i].name));
        if (columns[i].name == NULL) {
            return false;
        }
    }
    result->columns = columns;
    result->n_columns = from->n_columns;
    return true;
}

static bool make_room(vc_result *result)
{
    if (result->n_rows < result->rows_max) {
        return true;
    }
    size_t rows = result->rows_max == 0 ? RESULT_ROWS_FIRST : result->rows_max * 2;
    size_t row_bytes = result->n_columns * sizeof(*result->values);
    if (result->state == VC_SINGLE_ROW) {
        rows = 1;
    }
    if (row_bytes != 0 && rows > SIZE_MAX / row_bytes) {
        return false;
    }
    vc_value *values =
        mem_realloc(MEM_GENERAL, result->values, rows * (row_bytes == 0 ? 1 : row_bytes));
    if (values == NULL) {
        return false;
    }
    result->values = values;
    result->rows_max = rows;
    return true;
}

bool result_read_row(vc_result *result, struct reader *r)
{
    CHECK_HOT(result->state == VC_ROWS || (result->state == VC_SINGLE_ROW && result->n_rows == 0));
    CHECK_HOT(result->texts == NULL); /* It is as wide as the rows were. */
    uint16_t n = reader_u16(r);
    if (r->failed || n != result->n_columns || !make_room(result)) {
        return false;
    }
    vc_value *row = result->values + result->n_rows * result->n_columns;
    for (uint16_t i = 0; i < n; i++) {
        struct value value = value_read(r, result->arena);
        if (value.type == TYPE_TEXT || value.type == TYPE_JSON) {
            /* Terminated, so that vc_text can lend it as it is. */
            value.text.data = arena_strndup(result->arena, value.text.data, value.text.bytes);
        }
        row[i] = value_to_client(value);
    }
    if (!reader_done(r) || arena_failed(result->arena)) {
        return false;
    }
    result->n_rows++;
    return true;
}

void result_keep_rows(vc_result *result, const bool *keep)
{
    CHECK(keep != NULL || result->n_rows == 0);
    size_t kept = 0, columns = result->n_columns;
    for (size_t row = 0; row < result->n_rows; row++) {
        if (keep[row]) {
            memmove(&result->values[kept * columns], &result->values[row * columns],
                    columns * sizeof(*result->values));
            kept++;
        }
    }
    result->n_rows = kept;
    mem_free(MEM_GENERAL, result->texts); /* They were counted by the old rows. */
    result->texts = NULL;
}

bool result_read_parameters(vc_result *result, struct reader *r)
{
    uint16_t n = reader_u16(r);
    const uint8_t *types = reader_bytes(r, n);
    if (!reader_done(r)) {
        return false;
    }
    for (uint16_t i = 0; i < n; i++) {
        if (types[i] >= TYPE_COUNT) {
            return false;
        }
    }
    result->n_parameters = n;
    result->parameters = arena_copy(result->arena, types, n);
    return result->parameters != NULL;
}

/* "ERROR: message", with detail and hint on lines of their own. */
static bool render_error(vc_result *result)
{
    const struct err *err = &result->err;
    result->rendered = arena_printf(result->arena, "%s: %s%s%s%s%s", result->severity, err->message,
                                    err->detail[0] != '\0' ? "\nDETAIL: " : "", err->detail,
                                    err->hint[0] != '\0' ? "\nHINT: " : "", err->hint);
    return !arena_failed(result->arena);
}

bool result_read_error(vc_result *result, struct reader *r)
{
    CHECK(result->state == VC_ERROR || result->state == VC_NOTICE);
    struct wire_str severity, sqlstate;
    if (!wire_read_error(r, &result->err, &severity, &sqlstate)) {
        return false;
    }
    result->severity = arena_strndup(result->arena, severity.data, severity.bytes);
    result->sqlstate = arena_strndup(result->arena, sqlstate.data, sqlstate.bytes);
    if (result->err.position != 0) {
        result->position = arena_printf(result->arena, "%u", result->err.position);
    }
    return !arena_failed(result->arena) && render_error(result);
}

bool result_set_tag(vc_result *result, const char *tag, size_t bytes, uint64_t affected)
{
    CHECK(tag != NULL || bytes == 0);
    result->tag = arena_strndup(result->arena, tag, bytes);
    result->affected = affected;
    return result->tag != NULL;
}

vc_result *result_of_error(enum errcode code, const char *message, const char *hint)
{
    CHECK(code != ERR_OK && message != NULL);
    vc_result *result = result_new(VC_ERROR);
    if (result != NULL) {
        err_set(&result->err, code, "%s", message);
        if (hint != NULL) {
            err_hint(&result->err, "%s", hint);
        }
        result->severity = "ERROR";
        result->sqlstate = err_sqlstate(code);
    }
    if (result != NULL && !render_error(result)) {
        vc_result_free(result);
        return NULL;
    }
    return result;
}

/* ---- reading ---- */

vc_result_status vc_result_state(const vc_result *result)
{
    return result == NULL ? VC_ERROR : result->state;
}

size_t vc_rows(const vc_result *result)
{
    return result == NULL ? 0 : result->n_rows;
}

size_t vc_columns(const vc_result *result)
{
    return result == NULL ? 0 : result->n_columns;
}

const char *vc_column_name(const vc_result *result, size_t column)
{
    return column < vc_columns(result) ? result->columns[column].name : NULL;
}

vc_type vc_column_type(const vc_result *result, size_t column)
{
    return column < vc_columns(result) ? result->columns[column].type : VC_NULL;
}

uint32_t vc_column_dim(const vc_result *result, size_t column)
{
    return column < vc_columns(result) ? result->columns[column].dim : 0;
}

int vc_column_number(const vc_result *result, const char *name)
{
    for (size_t i = 0; i < vc_columns(result); i++) {
        if (strcmp(result->columns[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const vc_value *vc_get_value(const vc_result *result, size_t row, size_t column)
{
    if (row >= vc_rows(result) || column >= vc_columns(result)) {
        return NULL;
    }
    return &result->values[row * result->n_columns + column];
}

bool vc_is_null(const vc_result *result, size_t row, size_t column)
{
    const vc_value *value = vc_get_value(result, row, column);
    return value == NULL || value->type == VC_NULL;
}

/* Formats into the arena; "" where memory ran out. */
static const char *format_value(vc_result *result, const vc_value *value)
{
    struct buf text;
    buf_init(&text, MEM_GENERAL, RESULT_TEXT_BYTES_MAX);
    struct value plain = value_of_client(*value);
    value_format(&text, &plain);
    const char *out = text.failed || text.bytes == 0
                          ? ""
                          : arena_strndup(result->arena, (const char *)text.data, text.bytes);
    buf_fini(&text);
    return out == NULL ? "" : out;
}

const char *vc_text(vc_result *result, size_t row, size_t column)
{
    const vc_value *value = vc_get_value(result, row, column);
    if (value == NULL || value->type == VC_NULL) {
        return "";
    }
    if (value->type == VC_TEXT || value->type == VC_JSON) {
        return value->text.data;
    }
    if (result->texts == NULL) {
        result->texts =
            mem_zalloc(MEM_GENERAL, result->n_rows * result->n_columns * sizeof(*result->texts));
        if (result->texts == NULL) {
            return "";
        }
    }
    const char **text = &result->texts[row * result->n_columns + column];
    if (*text == NULL) {
        *text = format_value(result, value);
    }
    return *text;
}

const char *vc_command_tag(const vc_result *result)
{
    return result == NULL ? "" : result->tag;
}

uint64_t vc_affected(const vc_result *result)
{
    return result == NULL ? 0 : result->affected;
}

size_t vc_parameters(const vc_result *result)
{
    return result == NULL ? 0 : result->n_parameters;
}

vc_type vc_parameter_type(const vc_result *result, size_t parameter)
{
    return parameter < vc_parameters(result) ? (vc_type)result->parameters[parameter] : VC_NULL;
}

int vc_copy_format(const vc_result *result)
{
    return result == NULL ? 0 : result->copy_format;
}

const char *vc_error_field(const vc_result *result, vc_field field)
{
    if (result == NULL) {
        return "";
    }
    switch (field) {
    case VC_FIELD_SEVERITY:
        return result->severity;
    case VC_FIELD_SQLSTATE:
        return result->sqlstate;
    case VC_FIELD_MESSAGE:
        return result->err.message;
    case VC_FIELD_DETAIL:
        return result->err.detail;
    case VC_FIELD_HINT:
        return result->err.hint;
    case VC_FIELD_POSITION:
        return result->position;
    case VC_FIELD_COLLECTION:
        return result->err.collection;
    case VC_FIELD_COLUMN:
        return result->err.column;
    case VC_FIELD_POLICY:
        return result->err.policy;
    }
    return "";
}

const char *vc_result_error(const vc_result *result)
{
    return result == NULL ? "ERROR: out of memory" : result->rendered;
}
