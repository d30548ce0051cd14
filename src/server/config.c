/* The configuration: a file of "name = value" lines, then --set and --listen over it.
 *
 *   # a comment
 *   recall = 0.98            # bare: up to the comment, without blanks around it
 *   socket = '/run/x y'      # quoted: a quote inside is doubled
 *
 * A byte order mark before the first line is passed over.  A name stands at most once in the file:
 * of two lines one would change nothing.  config_print writes the same form, so that what --check
 * printed can be given to --config. */
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    CONFIG_BYTES_MAX = 1 << 20,
    VALUE_BYTES_MAX = 512,
    SHOWN_BYTES_MAX = 60, /* Of a line that is not understood. */
};

/* ---- one setting ---- */

static enum errcode assign(struct config *config, const char *name, const char *text,
                           enum config_origin origin, unsigned line, struct err *err)
{
    struct value value = value_cstr(text);
    enum policy_level level = origin == ORIGIN_FILE ? LEVEL_FILE : LEVEL_COMMAND_LINE;
    if (policy_assign_name(&config->policies, name, level, &value, err) != ERR_OK) {
        return err->code;
    }
    enum policy_id id = policy_find(name, NULL);
    CHECK(id != POLICY_COUNT);
    const char *directory = config->policies.values[id].text;
    if (id == POLICY_copy_directory && directory[0] != '\0' && directory[0] != '/') {
        err_set(err, ERR_POLICY_BOUNDS, "policy \"%s\" cannot be \"%s\"", name, directory);
        err_hint(err, "Write an absolute path, or '' for none.");
        err_policy(err, name);
        return ERR_POLICY_BOUNDS;
    }
    config->origins[id].origin = origin;
    config->origins[id].line = line;
    return ERR_OK;
}

/* ---- the file ---- */

struct line {
    const char *at, *end;
};

static void skip_blanks(struct line *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\r')) {
        l->at++;
    }
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool take_name(struct line *l, char name[NAME_BYTES_MAX + 1])
{
    size_t n = 0;
    while (l->at < l->end && is_name_byte(*l->at) && n < NAME_BYTES_MAX) {
        name[n++] = *l->at++;
    }
    name[n] = '\0';
    return n > 0 && (l->at == l->end || !is_name_byte(*l->at));
}

static bool take_quoted(struct line *l, char value[VALUE_BYTES_MAX])
{
    size_t n = 0;
    for (l->at++; l->at < l->end && n < VALUE_BYTES_MAX - 1; l->at++) {
        if (*l->at == '\'') {
            if (l->at + 1 == l->end || l->at[1] != '\'') {
                value[n] = '\0';
                l->at++;
                return true;
            }
            l->at++;
        }
        value[n++] = *l->at;
    }
    return false;
}

static bool take_bare(struct line *l, char value[VALUE_BYTES_MAX])
{
    const char *begin = l->at;
    while (l->at < l->end && *l->at != '#') {
        l->at++;
    }
    const char *end = l->at;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) {
        end--;
    }
    size_t n = (size_t)(end - begin);
    if (n == 0 || n >= VALUE_BYTES_MAX) {
        return false;
    }
    memcpy(value, begin, n);
    value[n] = '\0';
    return true;
}

static bool at_end(struct line *l)
{
    skip_blanks(l);
    return l->at == l->end || *l->at == '#';
}

/* As much of a line as an error shows. */
static struct line shown_part(struct line l)
{
    skip_blanks(&l);
    l.end = l.end - l.at > SHOWN_BYTES_MAX ? l.at + SHOWN_BYTES_MAX : l.end;
    while (l.end > l.at && (l.end[-1] == '\r' || l.end[-1] == ' ' || l.end[-1] == '\0')) {
        l.end--;
    }
    return l;
}

static enum errcode parse_line(struct line l, unsigned number, struct config *config,
                               struct err *err)
{
    char name[NAME_BYTES_MAX + 1], value[VALUE_BYTES_MAX];
    struct line whole = shown_part(l);
    if (at_end(&l)) {
        return ERR_OK;
    }
    bool is_good = take_name(&l, name);
    skip_blanks(&l);
    is_good = is_good && l.at < l.end && *l.at++ == '=';
    skip_blanks(&l);
    if (is_good && l.at < l.end && *l.at == '\'') {
        is_good = take_quoted(&l, value);
    } else {
        is_good = is_good && take_bare(&l, value);
    }
    if (!is_good || !at_end(&l)) {
        err_set(err, ERR_BAD_CONFIG, "not understood: %.*s", (int)(whole.end - whole.at), whole.at);
        err_hint(err, "Write name = value, with quotes around a value that is empty or holds #.");
        return ERR_BAD_CONFIG;
    }
    enum policy_id id = policy_find(name, NULL);
    if (id != POLICY_COUNT && config->origins[id].origin == ORIGIN_FILE) {
        err_set(err, ERR_BAD_CONFIG, "\"%s\" is set in line %u already", name,
                config->origins[id].line);
        err_hint(err, "Remove one of the two lines.");
        return ERR_BAD_CONFIG;
    }
    return assign(config, name, value, ORIGIN_FILE, number, err);
}

enum errcode config_parse(const char *file, const char *text, size_t bytes, struct config *out,
                          struct err *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *end = text + bytes;
    text += bytes >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    out->file = file;
    unsigned number = 0;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        struct line l = {.at = text, .end = newline == NULL ? end : newline};
        if (parse_line(l, ++number, out, err) != ERR_OK) {
            err_prefix(err, "%s:%u", file, number);
            return err->code;
        }
        text = newline == NULL ? end : newline + 1;
    }
    return ERR_OK;
}

static enum errcode read_file(const char *file, struct buf *b, struct err *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        err_set_errno(err, ERR_IO, errno, "cannot open the configuration %s", file);
        err_hint(err, "Give --config a file of lines name = value, as vectrond.conf.sample is.");
        return err->code;
    }
    enum errcode code = ERR_OK;
    for (;;) {
        uint8_t piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n == 0) {
            break;
        }
        if (n == -1) {
            code = err_set_errno(err, ERR_IO, errno, "cannot read the configuration %s", file);
            break;
        }
        buf_bytes(b, piece, (size_t)n);
        if (b->failed) {
            code = !b->is_full ? err_no_memory(err)
                               : err_set(err, ERR_BAD_CONFIG,
                                         "the configuration %s is longer than %d bytes", file,
                                         CONFIG_BYTES_MAX);
            break;
        }
    }
    close(fd);
    return code;
}

/* ---- the options ---- */

static enum errcode assign_option(struct config *config, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t n = equals == NULL ? 0 : (size_t)(equals - text);
    char name[NAME_BYTES_MAX + 1];
    if (n == 0 || n > NAME_BYTES_MAX) {
        err_set(err, ERR_BAD_CONFIG, "--set %.100s: not understood", text);
        err_hint(err, "Write --set NAME=VALUE.");
        return ERR_BAD_CONFIG;
    }
    memcpy(name, text, n);
    name[n] = '\0';
    if (assign(config, name, equals + 1, ORIGIN_SET, 0, err) != ERR_OK) {
        err_prefix(err, "--set %s", name);
        return err->code;
    }
    return ERR_OK;
}

enum errcode config_load(const struct server_options *options, struct config *out, struct err *err)
{
    memset(out, 0, sizeof *out);
    if (options->config_file != NULL) {
        struct buf b;
        buf_init(&b, MEM_GENERAL, CONFIG_BYTES_MAX);
        enum errcode code = read_file(options->config_file, &b, err);
        if (code == ERR_OK) {
            code = config_parse(options->config_file, (const char *)b.data, b.bytes, out, err);
        }
        buf_fini(&b);
        if (code != ERR_OK) {
            return code;
        }
    }
    for (unsigned i = 0; i < options->n_set; i++) {
        if (assign_option(out, options->set[i], err) != ERR_OK) {
            return err->code;
        }
    }
    if (options->listen != NULL &&
        assign(out, "listen", options->listen, ORIGIN_LISTEN, 0, err) != ERR_OK) {
        err_prefix(err, "--listen");
        return err->code;
    }
    return ERR_OK;
}

/* ---- printing ---- */

static void print_value(struct buf *b, enum policy_id id, const struct policy_value *value)
{
    if (policy_row(id)->type != POLICY_IS_TEXT || value->is_auto) {
        char text[POLICY_TEXT_BYTES];
        buf_printf(b, "%s", policy_format(text, id, value));
        return;
    }
    buf_u8(b, '\'');
    for (const char *c = value->text; *c != '\0'; c++) {
        buf_bytes(b, "''", *c == '\'' ? 2 : 0);
        if (*c != '\'') {
            buf_u8(b, (uint8_t)*c);
        }
    }
    buf_u8(b, '\'');
}

static void print_origin(struct buf *b, const struct config *config, enum policy_id id,
                         const struct server_options *options)
{
    switch (config->origins[id].origin) {
    case ORIGIN_BUILT_IN:
        buf_printf(b, "built-in");
        break;
    case ORIGIN_FILE:
        buf_printf(b, "%s:%u", options->config_file, config->origins[id].line);
        break;
    case ORIGIN_SET:
        buf_printf(b, "--set");
        break;
    case ORIGIN_LISTEN:
        buf_printf(b, "--listen");
        break;
    }
}

void config_print(struct buf *b, const struct config *config, const struct server_options *options)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = &config->policies}};
    buf_printf(b, "# vectrond --mode %s --data %s\n", options->mode, options->data);
    const char *plane = "";
    for (int i = 0; i < POLICY_COUNT; i++) {
        enum policy_id id = (enum policy_id)i;
        const struct policy_row *row = policy_row(id);
        if ((row->scopes & SCOPE_FILE) == 0) {
            continue;
        }
        if (strcmp(plane, row->plane) != 0) {
            plane = row->plane;
            buf_printf(b, "\n# %s\n", plane);
        }
        size_t begun_at = b->bytes;
        struct policy_value value = policy_get(&view, id, NULL);
        buf_printf(b, "%s = ", row->name);
        print_value(b, id, &value);
        size_t width = b->bytes - begun_at;
        buf_printf(b, "%*s # ", (int)(width < 40 ? 40 - width : 0), "");
        print_origin(b, config, id, options);
        buf_printf(b, "\n");
    }
}
