/* The data of COPY: inline in a script, on the terminal, or in a file of the client's (\copy).
 *
 *     \copy COLLECTION [(columns)] FROM | TO 'file' | STDIN | STDOUT
 *         [ON CONFLICT DO NOTHING | DO UPDATE] [WITH (option, ...)]
 *
 * \copy is COPY ... FROM STDIN or TO STDOUT with the file on this side.  An .fbin file whose ids
 * stand in a file of their own (option ids) becomes rows of the binary format on the way: the
 * server never sees either file. */
#include "client/shell/shell_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_PIECE_BYTES = 256 << 10,
    COPY_FORMAT_CSV = 1, /* vc_copy_format */
    FBIN_HEADER_BYTES = 8,
};

/* Functions here return false where they have told of a fault of the client's side; what the server
 * refuses is its result, which the caller shows.
 *
 * True where Ctrl-C was pressed: the COPY ends, with the server's error. */
static bool is_given_up(struct shell *shell)
{
    if (statement_drain(shell)) {
        return false;
    }
    vc_put_copy_end(shell->conn, "canceled by the user");
    return true;
}

/* ---- inline data ---- */

/* The next line of data; NULL at its end, where *is_ended says whether "\." was it. */
static const char *read_data(struct shell *shell, struct source *source, bool *is_ended)
{
    const char *line = source_read(shell, source, ">> ");
    *is_ended = line != NULL && (strcmp(line, "\\.") == 0 || strcmp(line, "\\.\r") == 0);
    return *is_ended ? NULL : line;
}

/* Lines of the source up to "\." */
static void copy_lines(struct shell *shell, struct source *source)
{
    const char *line;
    bool is_ended;
    while ((line = read_data(shell, source, &is_ended)) != NULL) {
        size_t bytes = source->file == NULL ? strlen(line) : source->line_bytes;
        if (is_given_up(shell)) {
            return;
        }
        if (!vc_put_copy_data(shell->conn, line, bytes) ||
            !vc_put_copy_data(shell->conn, "\n", 1)) {
            /* The server has refused it and says so; the rest of the data is not VQL. */
            while (read_data(shell, source, &is_ended) != NULL) {
            }
            return;
        }
    }
    if (is_ended || !is_given_up(shell)) {
        vc_put_copy_end(shell->conn, NULL);
    }
}

static bool copy_in_lines(struct shell *shell)
{
    struct source *source = shell->source;
    if (source->file == NULL) {
        fputs("Enter lines of CSV; end with \\. or Ctrl-D.\n", shell->out);
        fflush(shell->out);
    }
    source->is_data = true;
    copy_lines(shell, source);
    source->is_data = false;
    return true;
}

/* Everything of @file as it stands.  @bar counts bytes. */
static bool copy_in_bytes(struct shell *shell, FILE *file, struct bar *bar)
{
    uint8_t *piece = mem_alloc(MEM_GENERAL, COPY_PIECE_BYTES);
    if (piece == NULL) {
        vc_put_copy_end(shell->conn, "the client is out of memory");
        return false;
    }
    uint64_t done = 0;
    bool is_ok = true;
    size_t n;
    while ((n = fread(piece, 1, COPY_PIECE_BYTES, file)) > 0) {
        if (is_given_up(shell) || !vc_put_copy_data(shell->conn, piece, n)) {
            goto out; /* The server's error waits to be shown. */
        }
        done += n;
        bar_update(bar, done);
    }
    if (is_given_up(shell)) {
        goto out; /* While it waited for the data. */
    }
    if (ferror(file)) {
        is_ok = shell_complain(shell, "reading the data: %s", strerror(errno));
        vc_put_copy_end(shell->conn, "the client could not read its file");
    } else {
        vc_put_copy_end(shell->conn, NULL);
    }
out:
    mem_free(MEM_GENERAL, piece);
    return is_ok;
}

bool copy_in_from_source(struct shell *shell, const vc_result *result)
{
    struct source *source = shell->source;
    FILE *file = source->is_text ? stdin : source->file;
    if (vc_copy_format(result) == COPY_FORMAT_CSV) {
        /* With -c the text holds the statement alone: its data is on standard input. */
        return source->is_text ? copy_in_bytes(shell, stdin, NULL) : copy_in_lines(shell);
    }
    if (file == NULL) {
        vc_put_copy_end(shell->conn, "binary data cannot be typed");
        return shell_complain(shell, "binary data cannot be typed: use \\copy with a file");
    }
    return copy_in_bytes(shell, file, NULL);
}

bool copy_out_to(struct shell *shell, FILE *file)
{
    const void *data;
    ptrdiff_t n;
    bool is_ok = true;
    shell->has_copied = file == shell->out;
    for (;;) {
        statement_wait(shell);
        n = vc_get_copy_data(shell->conn, &data);
        if (n <= 0) {
            break;
        }
        if (is_ok && fwrite(data, 1, (size_t)n, file) != (size_t)n) {
            is_ok = file == shell->out
                        ? out_flush(shell)
                        : shell_complain(shell, "writing the data: %s", strerror(errno));
        }
    }
    if (file == shell->out) {
        return out_flush(shell) && is_ok;
    }
    if (fflush(file) != 0 && is_ok) {
        is_ok = shell_complain(shell, "writing the data: %s", strerror(errno));
    }
    return is_ok;
}

/* ---- fbin with ids ---- */

struct fbin_input {
    FILE *vectors, *ids;
    const char *vectors_path, *ids_path;
    uint32_t rows, dim;
    float *vector;
    char *line;
    size_t line_room;
    bool has_failed; /* And was told. */
};

/* A complaint that also ends the COPY. */
static bool fail_input(struct shell *shell, struct fbin_input *in, const char *path, uint64_t row,
                       const char *what)
{
    in->has_failed = true;
    char text[SHELL_PATH_BYTES + 128];
    if (row > 0) {
        snprintf(text, sizeof(text), "%s: row %llu: %s", path, (unsigned long long)row, what);
    } else {
        snprintf(text, sizeof(text), "%s: %s", path, what);
    }
    shell_complain(shell, "%s", text);
    vc_put_copy_end(shell->conn, text);
    return false;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
    return at == NULL ? -1 : (int)(at - digits);
}

static bool parse_uuid(const char *text, uint8_t out[16])
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '-') {
            continue;
        }
        int digit = hex_value(*text);
        if (digit < 0 || n == 32) {
            return false;
        }
        out[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : out[n / 2] | digit);
        n++;
    }
    return n == 32;
}

/* The id on @text as the key's type wants it. */
static bool parse_id(const char *text, vc_type type, vc_value *out)
{
    char *end;
    switch (type) {
    case VC_INT:
        errno = 0;
        *out = vc_int(strtoll(text, &end, 10));
        return end != text && *end == '\0' && errno == 0;
    case VC_UUID:
        *out = (vc_value){.type = VC_UUID};
        return parse_uuid(text, out->uuid);
    case VC_TEXT:
        *out = vc_string(text);
        return true;
    default:
        return false;
    }
}

static bool read_le_u32(FILE *file, uint32_t *out)
{
    uint8_t bytes[4];
    if (fread(bytes, 1, sizeof(bytes), file) != sizeof(bytes)) {
        return false;
    }
    *out = le_get_u32(bytes);
    return true;
}

static bool read_vector(struct fbin_input *in)
{
    if (fread(in->vector, sizeof(float), in->dim, in->vectors) != in->dim) {
        return false;
    }
    for (uint32_t i = 0; i < in->dim; i++) { /* Little-endian in the file, whatever we are. */
        uint32_t bits = le_get_u32(&in->vector[i]);
        memcpy(&in->vector[i], &bits, sizeof(bits));
    }
    return true;
}

/* The next line of the ids, without its end; how long it is, or -1 at the end. */
static ssize_t read_id_line(struct fbin_input *in)
{
    ssize_t n = getline(&in->line, &in->line_room, in->ids);
    while (n > 0 && (in->line[n - 1] == '\n' || in->line[n - 1] == '\r')) {
        in->line[--n] = '\0';
    }
    return n;
}

/* One row: the id at column 0, the vector at the first VECTOR column, NULL elsewhere. */
static bool put_row(struct shell *shell, struct fbin_input *in, uint64_t row, const vc_result *copy,
                    vc_value *values)
{
    ssize_t n = read_id_line(in);
    if (n <= 0) {
        return fail_input(shell, in, in->ids_path, row,
                          n == 0 ? "the line is blank" : "there are fewer ids than vectors");
    }
    if (!read_vector(in)) {
        return fail_input(shell, in, in->vectors_path, row,
                          "the file ends in the middle of a vector");
    }
    size_t columns = vc_parameters(copy), vector = 1;
    while (vector < columns && vc_parameter_type(copy, vector) != VC_VECTOR) {
        vector++;
    }
    if (vector >= columns) {
        return fail_input(shell, in, in->vectors_path, 0, "the COPY has no vector column for it");
    }
    for (size_t i = 0; i < columns; i++) {
        values[i] = vc_null();
    }
    if (!parse_id(in->line, vc_parameter_type(copy, 0), &values[0])) {
        return fail_input(shell, in, in->ids_path, row, "the id is not of the key's type");
    }
    values[vector] = vc_vector(in->vector, in->dim);
    return vc_put_copy_row(shell->conn, values, columns);
}

static bool check_input(struct shell *shell, struct fbin_input *in)
{
    struct stat facts;
    if (!read_le_u32(in->vectors, &in->rows) || !read_le_u32(in->vectors, &in->dim) ||
        in->dim == 0 || in->dim > VECTOR_DIM_MAX) {
        return fail_input(shell, in, in->vectors_path, 0, "this is no .fbin file");
    }
    uint64_t bytes = FBIN_HEADER_BYTES + (uint64_t)in->rows * in->dim * sizeof(float);
    if (fstat(fileno(in->vectors), &facts) != 0 ||
        (S_ISREG(facts.st_mode) && (uint64_t)facts.st_size != bytes)) {
        return fail_input(shell, in, in->vectors_path, 0,
                          "its size is not what its header says: it is cut off or no .fbin file");
    }
    in->vector = mem_alloc(MEM_GENERAL, in->dim * sizeof(float));
    if (in->vector == NULL) {
        return fail_input(shell, in, in->vectors_path, 0, "out of memory");
    }
    return true;
}

/* The server has said that it waits for rows. */
static bool copy_in_fbin(struct shell *shell, struct fbin_input *in, const vc_result *copy)
{
    if (!check_input(shell, in)) {
        return false;
    }
    vc_value *values = mem_alloc(MEM_GENERAL, (vc_parameters(copy) + 1) * sizeof(*values));
    if (values == NULL) {
        return fail_input(shell, in, in->vectors_path, 0, "out of memory");
    }
    struct bar *bar = bar_new("copy", "rows", in->rows);
    shell->has_own_bar = true;
    bool is_ok = true;
    uint64_t row = 0;
    while (row < in->rows && is_ok) {
        is_ok = !is_given_up(shell) && put_row(shell, in, row + 1, copy, values);
        row += is_ok;
        bar_update(bar, row);
    }
    if (is_ok && read_id_line(in) > 0) {
        is_ok = fail_input(shell, in, in->ids_path, row + 1, "there are more ids than vectors");
    }
    if (is_ok) {
        vc_put_copy_end(shell->conn, NULL);
    }
    bar_free(bar);
    shell->has_own_bar = false;
    mem_free(MEM_GENERAL, values);
    return !in->has_failed;
}

/* ---- \copy ---- */

/* What the data of one \copy comes from or goes to. */
struct copy_files {
    FILE *file, *ids;
};

static bool open_files(struct shell *shell, const struct copy_plan *plan, struct copy_files *files)
{
    if (plan->file[0] == '\0') {
        files->file = plan->is_from ? stdin : shell->out;
    } else if (plan->is_from) {
        files->file = shell_open(shell, plan->file);
    } else {
        /* Emptied once there are data: a COPY that is refused leaves what was there. */
        int fd = open(plan->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        files->file = fd < 0 ? NULL : fdopen(fd, "w");
        if (files->file == NULL) {
            shell_complain_file(shell, plan->file, SHELL_WRITES);
        }
    }
    if (files->file != NULL && plan->ids[0] != '\0') {
        files->ids = shell_open(shell, plan->ids);
    }
    return files->file != NULL && (plan->ids[0] == '\0' || files->ids != NULL);
}

static bool close_files(struct shell *shell, const struct copy_plan *plan, struct copy_files *files)
{
    bool is_ok = true;
    if (files->file != NULL && plan->file[0] != '\0' && fclose(files->file) != 0) {
        is_ok = shell_complain(shell, "%s: %s", plan->file, strerror(errno));
    }
    if (files->ids != NULL) {
        fclose(files->ids);
    }
    return is_ok;
}

/* The data of the COPY that the server has just agreed to. */
static bool move_data(struct shell *shell, const struct copy_plan *plan, struct copy_files *files,
                      const vc_result *copy)
{
    struct stat facts;
    bool is_file = fstat(fileno(files->file), &facts) == 0 && S_ISREG(facts.st_mode);
    if (!plan->is_from && plan->file[0] != '\0' && is_file &&
        ftruncate(fileno(files->file), 0) != 0) {
        shell_complain(shell, "%s: %s", plan->file, strerror(errno));
    }
    if (!plan->is_from) {
        return copy_out_to(shell, files->file);
    }
    if (files->ids != NULL) {
        struct fbin_input in = {.vectors = files->file,
                                .ids = files->ids,
                                .vectors_path = plan->file,
                                .ids_path = plan->ids};
        bool is_ok = copy_in_fbin(shell, &in, copy);
        mem_free(MEM_GENERAL, in.vector);
        free(in.line);
        return is_ok;
    }
    if (plan->file[0] == '\0') {
        return copy_in_from_source(shell, copy);
    }
    struct bar *bar = bar_new("copy", "bytes", is_file ? (uint64_t)facts.st_size : 0);
    shell->has_own_bar = bar != NULL;
    bool is_ok = copy_in_bytes(shell, files->file, bar);
    bar_free(bar);
    shell->has_own_bar = false;
    return is_ok;
}

/* "COPY 331479", and on a terminal how fast it went. */
static void print_copied(struct shell *shell, const vc_result *result, uint64_t elapsed_us)
{
    if (!isatty(STDERR_FILENO) || !shell->is_interactive || shell->set.is_quiet) {
        print_tag(shell, result);
        return;
    }
    double seconds = (double)elapsed_us / 1e6;
    double rows = (double)vc_affected(result);
    fprintf(shell->out, "COPY %.0f (%.2f s, %.0f rows/s)\n", rows, seconds,
            seconds > 0 ? rows / seconds : 0);
}

static void write_statement(const struct copy_plan *plan, char *out, size_t bytes)
{
    /* Rows with ids are made here, so the server gets binary ones. */
    const char *format = plan->ids[0] != '\0' ? "binary" : plan->format;
    bool has_options = plan->options[0] != '\0';
    snprintf(out, bytes, "COPY %s %s%s%s%s%s%s%s%s%s", plan->head,
             plan->is_from ? "FROM STDIN" : "TO STDOUT", plan->conflict[0] != '\0' ? " " : "",
             plan->conflict, format[0] != '\0' || has_options ? " WITH (" : "",
             format[0] != '\0' ? "FORMAT " : "", format,
             format[0] != '\0' && has_options ? ", " : "", plan->options,
             format[0] != '\0' || has_options ? ")" : "");
}

bool copy_command(struct shell *shell, const char *arguments)
{
    struct copy_plan plan;
    struct err err;
    if (copy_plan_parse(arguments, &plan, &err) != ERR_OK) {
        (void)shell_complain(shell, "\\copy: %s", err.message);
        if (err.hint[0] != '\0') {
            fprintf(stderr, "HINT:  %s\n", err.hint);
        }
        return false;
    }
    struct copy_files files = {0};
    char vql[sizeof(plan.head) + sizeof(plan.conflict) + sizeof(plan.options) + 128];
    bool is_ok = open_files(shell, &plan, &files);
    if (is_ok) {
        write_statement(&plan, vql, sizeof(vql));
        statement_begin(shell);
        is_ok = vc_send_query(shell->conn, vql);
        if (!is_ok) {
            shell_complain(shell, "%s", vc_error_message(shell->conn));
        }
    }
    uint64_t begun_us = clock_micros();
    bool is_told = !is_ok;
    vc_result *result;
    while (is_ok && (result = statement_result(shell)) != NULL) {
        vc_result_status state = vc_result_state(result);
        bar_free(shell->bar);
        shell->bar = NULL;
        if (state == VC_COPY_IN || state == VC_COPY_OUT) {
            is_told = !move_data(shell, &plan, &files, result);
        } else if (state == VC_COMMAND && !shell->has_copied) {
            print_copied(shell, result, clock_micros() - begun_us);
        } else if (state == VC_ERROR && !is_told) {
            report_result(shell, result, vql);
            is_told = true;
        }
        vc_result_free(result);
    }
    is_ok = close_files(shell, &plan, &files) && is_ok;
    if (shell->set.timing) {
        print_time(shell, clock_micros() - begun_us);
    }
    statement_after(shell);
    return is_ok && !is_told;
}
