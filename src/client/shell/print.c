/* Results as tables: aligned, expanded, unaligned, CSV.
 *
 * The layouts are psql's, because eyes and scripts know them. */
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include "format/format.h"

#include <string.h>

enum {
    TABLE_TEXT_BYTES_MAX = 1 << 30,
    ROWS_A_LOOK = 64, /* Rows between two looks whether Ctrl-C was pressed. */
};

/* The cells of an aligned table: all texts one after another, where each begins, how wide it is. */
struct table {
    size_t rows, columns;
    struct buf text;
    size_t *ends; /* Row by row, the header first; a cell begins where the last one ends. */
    unsigned *widths;
    unsigned *column_widths;
    bool *is_number;
};

static void table_free(struct table *t)
{
    buf_fini(&t->text);
    mem_free(MEM_GENERAL, t->ends);
    mem_free(MEM_GENERAL, t->widths);
    mem_free(MEM_GENERAL, t->column_widths);
    mem_free(MEM_GENERAL, t->is_number);
}

static void add_cell(struct table *t, size_t cell, size_t column)
{
    size_t begin = cell == 0 ? 0 : t->ends[cell - 1];
    t->ends[cell] = t->text.bytes;
    t->widths[cell] = t->text.failed || t->text.bytes == begin
                          ? 0
                          : text_width((const char *)t->text.data + begin, t->text.bytes - begin);
    if (t->widths[cell] > t->column_widths[column]) {
        t->column_widths[column] = t->widths[cell];
    }
}

/* False where memory ran out. */
static bool table_fill(struct table *t, const char *null, vc_result *result)
{
    t->rows = vc_rows(result);
    t->columns = vc_columns(result);
    size_t cells = (t->rows + 1) * t->columns;
    buf_init(&t->text, MEM_GENERAL, TABLE_TEXT_BYTES_MAX);
    t->ends = mem_alloc(MEM_GENERAL, (cells + 1) * sizeof(*t->ends));
    t->widths = mem_alloc(MEM_GENERAL, (cells + 1) * sizeof(*t->widths));
    t->column_widths = mem_zalloc(MEM_GENERAL, (t->columns + 1) * sizeof(*t->column_widths));
    t->is_number = mem_zalloc(MEM_GENERAL, t->columns + 1);
    if (t->ends == NULL || t->widths == NULL || t->column_widths == NULL || t->is_number == NULL) {
        return false;
    }
    for (size_t c = 0; c < t->columns; c++) {
        const char *name = vc_column_name(result, c);
        text_escape(&t->text, name, strlen(name));
        add_cell(t, c, c);
        vc_type type = vc_column_type(result, c);
        for (size_t r = 0; type == VC_NULL && r < t->rows; r++) {
            type = vc_get_value(result, r, c)->type; /* Not known before the rows. */
        }
        t->is_number[c] = type == VC_INT || type == VC_FLOAT;
    }
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t c = 0; c < t->columns; c++) {
            const vc_value *value = vc_get_value(result, r, c);
            if (value->type == VC_NULL) {
                text_escape(&t->text, null, strlen(null));
            } else {
                text_value(&t->text, value, value->type == VC_VECTOR ? "" : vc_text(result, r, c));
            }
            add_cell(t, (r + 1) * t->columns + c, c);
        }
    }
    return !t->text.failed;
}

static void put_cell(FILE *out, const struct table *t, size_t cell)
{
    size_t begin = cell == 0 ? 0 : t->ends[cell - 1];
    if (t->ends[cell] > begin) {
        fwrite(t->text.data + begin, 1, t->ends[cell] - begin, out);
    }
}

static void put_n(FILE *out, char c, unsigned n)
{
    while (n-- > 0) {
        putc(c, out);
    }
}

static void put_footer(FILE *out, size_t rows)
{
    fprintf(out, "(%zu row%s)\n", rows, rows == 1 ? "" : "s");
}

/* True where Ctrl-C was pressed: a long result need not be shown to its end. */
static bool is_enough(struct shell *shell, size_t row)
{
    if (row % ROWS_A_LOOK == 0 && interrupt_take()) {
        shell->was_interrupted = true;
    }
    return shell->was_interrupted;
}

/* ---- aligned ---- */

static void put_header(FILE *out, const struct table *t)
{
    for (size_t c = 0; c < t->columns; c++) {
        unsigned room = t->column_widths[c] - t->widths[c];
        fputs(c == 0 ? " " : "| ", out);
        put_n(out, ' ', room / 2);
        put_cell(out, t, c);
        put_n(out, ' ', room - room / 2 + 1);
    }
    putc('\n', out);
    for (size_t c = 0; c < t->columns; c++) {
        if (c > 0) {
            putc('+', out);
        }
        put_n(out, '-', t->column_widths[c] + 2);
    }
    putc('\n', out);
}

static void put_row(FILE *out, const struct table *t, size_t row)
{
    for (size_t c = 0; c < t->columns; c++) {
        size_t cell = (row + 1) * t->columns + c;
        unsigned room = t->column_widths[c] - t->widths[cell];
        fputs(c == 0 ? " " : " | ", out);
        if (t->is_number[c]) {
            put_n(out, ' ', room);
        }
        put_cell(out, t, cell);
        if (!t->is_number[c] && c + 1 < t->columns) {
            put_n(out, ' ', room);
        }
    }
    putc('\n', out);
}

static void print_aligned(struct shell *shell, FILE *out, const struct table *t)
{
    bool tuples_only = shell->set.tuples_only;
    if (!tuples_only) {
        put_header(out, t);
    }
    for (size_t r = 0; r < t->rows && !is_enough(shell, r); r++) {
        put_row(out, t, r);
    }
    if (!tuples_only) {
        put_footer(out, t->rows);
    }
    putc('\n', out);
}

/* ---- expanded ---- */

static void print_expanded(struct shell *shell, FILE *out, const struct table *t)
{
    bool tuples_only = shell->set.tuples_only;
    unsigned name_width = 0, value_width = 0;
    for (size_t c = 0; c < t->columns; c++) {
        name_width = t->widths[c] > name_width ? t->widths[c] : name_width;
        for (size_t r = 0; r < t->rows; r++) {
            unsigned width = t->widths[(r + 1) * t->columns + c];
            value_width = width > value_width ? width : value_width;
        }
    }
    for (size_t r = 0; r < t->rows && !is_enough(shell, r); r++) {
        if (!tuples_only) {
            int n = fprintf(out, "-[ RECORD %zu ]", r + 1);
            unsigned used = n < 0 ? 0 : (unsigned)n;
            if (used < name_width + 1) {
                put_n(out, '-', name_width + 1 - used);
                putc('+', out);
                used = name_width + 2;
            }
            unsigned whole = name_width + 3 + value_width;
            put_n(out, '-', whole > used ? whole - used : 0);
            putc('\n', out);
        } else if (r > 0) {
            putc('\n', out);
        }
        for (size_t c = 0; c < t->columns; c++) {
            put_cell(out, t, c);
            put_n(out, ' ', name_width - t->widths[c]);
            fputs(" | ", out);
            put_cell(out, t, (r + 1) * t->columns + c);
            putc('\n', out);
        }
    }
    if (t->rows == 0 && !tuples_only) {
        put_footer(out, 0);
    }
    putc('\n', out);
}

/* ---- unaligned and CSV ---- */

struct plain {
    FILE *out;
    const struct settings *set;
    struct buf field; /* CSV: the one at hand. */
    bool is_failed;   /* One was too large for the memory that there is. */
};

/* NULL is in no quotes and a text that is the same is, so that COPY reads back what was shown. */
static void put_csv(struct plain *p, const char *text)
{
    const char *null = p->set->null;
    buf_reset(&p->field);
    if (text != NULL) {
        csv_write_text(&p->field, text, strlen(text), ',', null);
    } else if (null[0] != '\0') {
        csv_write_text(&p->field, null, strlen(null), ',', "");
    }
    p->is_failed = p->is_failed || p->field.failed;
    if (p->field.bytes > 0 && !p->is_failed) {
        fwrite(p->field.data, 1, p->field.bytes, p->out);
    }
}

/* @text is NULL for a NULL. */
static void put_field(struct plain *p, size_t column, const char *text)
{
    bool is_csv = p->set->format == FORMAT_CSV;
    if (column > 0) {
        fputs(is_csv ? "," : p->set->separator, p->out);
    }
    if (is_csv) {
        put_csv(p, text);
    } else {
        fputs(text != NULL ? text : p->set->null, p->out);
    }
}

static const char *text_at(vc_result *result, size_t row, size_t column)
{
    return vc_is_null(result, row, column) ? NULL : vc_text(result, row, column);
}

static void print_plain(struct shell *shell, struct plain *p, vc_result *result)
{
    const struct settings *set = &shell->set;
    size_t rows = vc_rows(result), columns = vc_columns(result);
    for (size_t c = 0; !set->tuples_only && c < columns; c++) {
        put_field(p, c, vc_column_name(result, c));
    }
    if (!set->tuples_only) {
        putc('\n', p->out);
    }
    for (size_t r = 0; r < rows && !p->is_failed && !is_enough(shell, r); r++) {
        for (size_t c = 0; c < columns; c++) {
            put_field(p, c, text_at(result, r, c));
        }
        putc('\n', p->out);
    }
    if (!set->tuples_only && set->format == FORMAT_UNALIGNED) {
        put_footer(p->out, rows);
    }
}

/* name|value lines, an empty line between records. */
static void print_plain_expanded(struct shell *shell, struct plain *p, vc_result *result)
{
    for (size_t r = 0; r < vc_rows(result) && !p->is_failed && !is_enough(shell, r); r++) {
        if (r > 0) {
            putc('\n', p->out);
        }
        for (size_t c = 0; c < vc_columns(result); c++) {
            put_field(p, 0, vc_column_name(result, c));
            put_field(p, 1, text_at(result, r, c));
            putc('\n', p->out);
        }
    }
}

/* ---- all of them ---- */

static unsigned table_width(const struct table *t)
{
    unsigned width = 0;
    for (size_t c = 0; c < t->columns; c++) {
        width += t->column_widths[c] + 3;
    }
    return width > 0 ? width - 1 : 0; /* A bar between each two. */
}

static void print_table(struct shell *shell, vc_result *result)
{
    struct table t = {0};
    if (!table_fill(&t, shell->set.null, result)) {
        shell_complain(shell, "out of memory for a table of %zu rows", vc_rows(result));
        table_free(&t);
        return;
    }
    unsigned rows, columns, width = table_width(&t);
    screen_size(&rows, &columns);
    bool is_expanded = shell->set.expanded == EXPANDED_ON ||
                       (shell->set.expanded == EXPANDED_AUTO && width > columns);
    size_t extra = shell->set.tuples_only ? 1 : 4; /* The header, its rule, the count, an end. */
    FILE *out = is_expanded ? pager_open(shell, t.rows * (t.columns + 1) + 1, 0)
                            : pager_open(shell, t.rows + extra, width);
    if (is_expanded) {
        print_expanded(shell, out, &t);
    } else {
        print_aligned(shell, out, &t);
    }
    pager_close(shell, out);
    table_free(&t);
}

void print_result(struct shell *shell, vc_result *result)
{
    const struct settings *set = &shell->set;
    if (set->format == FORMAT_ALIGNED) {
        print_table(shell, result);
        return;
    }
    size_t lines = set->expanded == EXPANDED_ON ? vc_columns(result) + 1 : 1;
    struct plain p = {.out = pager_open(shell, vc_rows(result) * lines + 2, 0), .set = set};
    buf_init(&p.field, MEM_GENERAL, SIZE_MAX);
    if (set->expanded == EXPANDED_ON) {
        print_plain_expanded(shell, &p, result);
    } else {
        print_plain(shell, &p, result);
    }
    pager_close(shell, p.out);
    if (p.is_failed) {
        shell_complain(shell, "out of memory for a field");
    }
    buf_fini(&p.field);
}

void print_tag(struct shell *shell, const vc_result *result)
{
    static const char *const counted[] = {"INSERT", "UPDATE", "DELETE", "COPY"};
    const char *tag = vc_command_tag(result);
    if (shell->set.is_quiet || tag[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(counted); i++) {
        if (strcmp(tag, counted[i]) == 0) {
            fprintf(shell->out, "%s %llu\n", tag, (unsigned long long)vc_affected(result));
            return;
        }
    }
    fprintf(shell->out, "%s\n", tag);
}

void print_time(struct shell *shell, uint64_t micros)
{
    double ms = (double)micros / 1000;
    if (ms < 1000) {
        fprintf(shell->out, "Time: %.3f ms\n", ms);
        return;
    }
    uint64_t minutes = micros / 60000000;
    double seconds = (double)(micros % 60000000) / 1e6;
    fprintf(shell->out, "Time: %.3f ms (%02llu:%06.3f)\n", ms, (unsigned long long)minutes,
            seconds);
}
