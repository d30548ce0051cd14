/* Where to connect to: a URI or key=value text, then the environment, then the defaults.
 *
 *     vectron://[user@][host][:port][/][?key=value&...]     %XX escapes; [::1] for an IPv6 address
 *     key = value key = 'a value with \' and \\'
 *
 * Keys that are not the library's own are session policies: they travel with STARTUP, and the
 * server refuses those that it does not know. */
#include "client/client_int.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char uri_scheme[] = "vectron://";

static enum errcode set_timeout(struct conninfo *out, const char *value, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long seconds = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || seconds > 86400) {
        return err_set(err, ERR_BAD_PARAMETER, "connect_timeout \"%s\" is not 0 to 86400 seconds",
                       value);
    }
    out->connect_timeout_s = (uint32_t)seconds;
    return ERR_OK;
}

enum {
    BUSY_POLL_US_MAX = 10000 /* As the server's policy of that name. */
};

static enum errcode set_busy_poll(struct conninfo *out, const char *value, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10), unit = strcmp(end, "ms") == 0 ? 1000 : 1;
    bool has_unit = unit == 1000 || strcmp(end, "us") == 0;
    bool is_none = strcmp(value, "none") == 0;
    if (!is_none && (!isdigit((unsigned char)value[0]) || !has_unit || errno != 0 ||
                     n > BUSY_POLL_US_MAX / unit)) {
        return err_set(err, ERR_BAD_PARAMETER,
                       "busy_poll \"%s\" is neither none nor up to 10ms, as in 100us", value);
    }
    out->busy_poll_us = is_none ? 0 : n * unit;
    return ERR_OK;
}

static enum errcode set_port(struct conninfo *out, const char *value, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long port = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || port == 0 || port > 65535) {
        return err_set(err, ERR_BAD_PARAMETER, "port \"%s\" is not 1 to 65535", value);
    }
    snprintf(out->port, sizeof(out->port), "%lu", port);
    return ERR_OK;
}

static enum errcode set_option(struct conninfo *out, const char *key, const char *value,
                               struct err *err)
{
    size_t i = 0;
    while (i < out->n_options && strcmp(out->options[i].name, key) != 0) {
        i++;
    }
    if (i == CLIENT_OPTIONS_MAX) {
        return err_set(err, ERR_TOO_MANY_ITEMS, "more than %d options in the connection string",
                       CLIENT_OPTIONS_MAX);
    }
    if (i == out->n_options) {
        snprintf(out->options[i].name, sizeof(out->options[i].name), "%s", key);
        out->n_options++;
    }
    snprintf(out->options[i].value, sizeof(out->options[i].value), "%s", value);
    return ERR_OK;
}

/* Both texts are shorter than CLIENT_TEXT_BYTES. */
static enum errcode set_key(struct conninfo *out, const char *key, const char *value,
                            struct err *err)
{
    if (strcmp(key, "port") == 0) {
        return set_port(out, value, err);
    }
    if (strcmp(key, "connect_timeout") == 0) {
        return set_timeout(out, value, err);
    }
    if (strcmp(key, "busy_poll") == 0) {
        return set_busy_poll(out, value, err);
    }
    if (strcmp(key, "password") == 0) {
        err_set(err, ERR_FEATURE_UNSUPPORTED, "passwords are not supported by this version");
        err_hint(err, "Sessions are not authenticated yet; leave the password out.");
        return err->code;
    }
    struct {
        const char *key;
        char *field;
    } texts[] = {{"host", out->host}, {"user", out->user}, {"application_name", out->application}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (strcmp(key, texts[i].key) == 0) {
            snprintf(texts[i].field, CLIENT_TEXT_BYTES, "%s", value);
            return ERR_OK;
        }
    }
    return set_option(out, key, value, err);
}

/* ---- key=value ---- */

static const char *skip_blanks(const char *at)
{
    while (isspace((unsigned char)*at)) {
        at++;
    }
    return at;
}

/* Reads a plain or quoted value into @out; NULL where it does not end or is too long. */
static const char *read_value(const char *at, char out[CLIENT_TEXT_BYTES])
{
    bool is_quoted = *at == '\'';
    at += is_quoted;
    size_t n = 0;
    while (*at != '\0' && (is_quoted ? *at != '\'' : !isspace((unsigned char)*at))) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        }
        if (n + 1 >= CLIENT_TEXT_BYTES) {
            return NULL;
        }
        out[n++] = *at++;
    }
    out[n] = '\0';
    if (is_quoted && *at++ != '\'') {
        return NULL;
    }
    return at;
}

static enum errcode parse_pairs(const char *text, struct conninfo *out, struct err *err)
{
    const char *at = skip_blanks(text);
    while (*at != '\0') {
        char key[CLIENT_TEXT_BYTES] = "", value[CLIENT_TEXT_BYTES] = "";
        size_t n = strcspn(at, "= \t\r\n");
        const char *equals = skip_blanks(at + n);
        if (n == 0 || n >= sizeof(key) || *equals != '=') {
            err_set(err, ERR_BAD_PARAMETER, "connection string: no \"=\" after \"%.*s\"",
                    (int)(n < 64 ? n : 64), at);
            err_hint(err, "Write key=value pairs, or a URI such as vectron://localhost:7432.");
            return err->code;
        }
        memcpy(key, at, n);
        key[n] = '\0';
        at = read_value(skip_blanks(equals + 1), value);
        if (at == NULL) {
            return err_set(err, ERR_BAD_PARAMETER,
                           "connection string: the value of \"%s\" is too long or its quote is not "
                           "closed",
                           key);
        }
        if (set_key(out, key, value, err) != ERR_OK) {
            return err->code;
        }
        at = skip_blanks(at);
    }
    return ERR_OK;
}

/* ---- URI ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    int lower = tolower((unsigned char)c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Undoes the %XX escapes of @bytes at @from. */
static enum errcode unescape(const char *from, size_t bytes, char out[CLIENT_TEXT_BYTES],
                             struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        char c = from[i];
        if (c == '%') {
            int high = i + 2 < bytes ? hex_digit(from[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(from[i + 2]);
            if (low < 0 || (high == 0 && low == 0)) {
                return err_set(err, ERR_BAD_PARAMETER, "connection URI: bad %% escape in \"%.*s\"",
                               (int)(bytes < 64 ? bytes : 64), from);
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (n + 1 >= CLIENT_TEXT_BYTES) {
            return err_set(err, ERR_BAD_PARAMETER, "connection URI: a part is longer than %d bytes",
                           CLIENT_TEXT_BYTES - 1);
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return ERR_OK;
}

/* host, host:port, [v6] or [v6]:port */
static enum errcode parse_address(const char *at, size_t bytes, struct conninfo *out,
                                  struct err *err)
{
    const char *end = at + bytes;
    const char *host = at, *host_end;
    if (bytes > 0 && *at == '[') {
        host = at + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (host_end == NULL) {
            return err_set(err, ERR_BAD_PARAMETER, "connection URI: no \"]\" after the address");
        }
        at = host_end + 1;
    } else {
        host_end = memchr(at, ':', bytes);
        host_end = host_end == NULL ? end : host_end;
        at = host_end;
    }
    char text[CLIENT_TEXT_BYTES] = "";
    if (host_end > host) {
        if (unescape(host, (size_t)(host_end - host), text, err) != ERR_OK ||
            set_key(out, "host", text, err) != ERR_OK) {
            return err->code;
        }
    }
    if (at == end) {
        return ERR_OK;
    }
    if (*at != ':') {
        return err_set(err, ERR_BAD_PARAMETER,
                       "connection URI: \":\" and a port must follow \"]\"");
    }
    at++;
    if (at == end) {
        return ERR_OK;
    }
    if (unescape(at, (size_t)(end - at), text, err) != ERR_OK) {
        return err->code;
    }
    return set_port(out, text, err);
}

static enum errcode parse_query(const char *at, struct conninfo *out, struct err *err)
{
    while (*at != '\0') {
        size_t bytes = strcspn(at, "&");
        const char *equals = memchr(at, '=', bytes);
        if (equals == NULL || equals == at) {
            return err_set(err, ERR_BAD_PARAMETER, "connection URI: \"%.*s\" is not key=value",
                           (int)(bytes < 64 ? bytes : 64), at);
        }
        char key[CLIENT_TEXT_BYTES] = "", value[CLIENT_TEXT_BYTES] = "";
        size_t key_bytes = (size_t)(equals - at);
        if (unescape(at, key_bytes, key, err) != ERR_OK ||
            unescape(equals + 1, bytes - key_bytes - 1, value, err) != ERR_OK ||
            set_key(out, key, value, err) != ERR_OK) {
            return err->code;
        }
        at += bytes;
        at += *at == '&';
    }
    return ERR_OK;
}

static enum errcode parse_uri(const char *text, struct conninfo *out, struct err *err)
{
    const char *at = text + strlen(uri_scheme);
    size_t authority_bytes = strcspn(at, "/?");
    const char *user_end = memchr(at, '@', authority_bytes);
    if (user_end != NULL) {
        size_t bytes = (size_t)(user_end - at);
        char user[CLIENT_TEXT_BYTES];
        if (memchr(at, ':', bytes) != NULL) {
            return set_key(out, "password", "", err);
        }
        if (unescape(at, bytes, user, err) != ERR_OK || set_key(out, "user", user, err) != ERR_OK) {
            return err->code;
        }
        authority_bytes -= bytes + 1;
        at = user_end + 1;
    }
    if (parse_address(at, authority_bytes, out, err) != ERR_OK) {
        return err->code;
    }
    at += authority_bytes;
    if (*at == '/') {
        at++;
        if (*at != '\0' && *at != '?') {
            err_set(err, ERR_BAD_PARAMETER, "connection URI: \"%.64s\": a server has one database",
                    at);
            err_hint(err, "Leave the path empty, as in vectron://host:7432/?key=value.");
            return err->code;
        }
    }
    return *at == '?' ? parse_query(at + 1, out, err) : ERR_OK;
}

/* ---- all of it ---- */

static enum errcode apply_environment(struct conninfo *out, struct err *err)
{
    static const char *const names[][2] = {{"VCHOST", "host"},
                                           {"VCPORT", "port"},
                                           {"VCUSER", "user"},
                                           {"VCAPPNAME", "application_name"},
                                           {"VCCONNECT_TIMEOUT", "connect_timeout"},
                                           {"VCBUSY_POLL", "busy_poll"}};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *value = getenv(names[i][0]);
        if (value == NULL || value[0] == '\0') {
            continue;
        }
        if (strlen(value) >= CLIENT_TEXT_BYTES) {
            return err_set(err, ERR_BAD_PARAMETER, "environment: %s is too long", names[i][0]);
        }
        if (set_key(out, names[i][1], value, err) != ERR_OK) {
            err_prefix(err, "environment");
            return err->code;
        }
    }
    return ERR_OK;
}

static void apply_defaults(struct conninfo *out)
{
    snprintf(out->host, sizeof(out->host), "127.0.0.1");
    snprintf(out->port, sizeof(out->port), "%d", WIRE_PORT);
    char space[1024];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(geteuid(), &entry, space, sizeof(space), &found) == 0 && found != NULL) {
        snprintf(out->user, sizeof(out->user), "%s", found->pw_name);
    }
}

enum errcode conninfo_parse(const char *text, struct conninfo *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    err_clear(err);
    apply_defaults(out);
    if (apply_environment(out, err) != ERR_OK || text == NULL) {
        return err->code;
    }
    if (strncmp(text, uri_scheme, strlen(uri_scheme)) == 0) {
        return parse_uri(text, out, err);
    }
    return parse_pairs(text, out, err);
}
