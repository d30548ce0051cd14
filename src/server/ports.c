/* What the server listens on: clients by TCP, clients by a Unix socket, and the HTTP page.
 *
 * Ports are bound before the data directory is made, so that one that is taken leaves nothing
 * behind; the socket, which may lie in there, before the shards are opened.  What is taken fails
 * the start at once; until the server is ready its sessions answer NOT_READY, and the page
 * "starting".  An error names the policy and says where it was set, since that is where it must be
 * changed. */
#include <string.h>
#include <sys/stat.h>

#include "server/server_int.h"

static bool is_set(const struct policy_value *value)
{
    return value->text[0] != '\0'; /* An empty text switches off what it names. */
}

/* Adds to what is wrong with an address where it can be changed. */
static enum errcode blame(const struct config *config, enum policy_id id, const char *form,
                          struct err *err)
{
    const char *name = policy_row(id)->name;
    char why[sizeof err->hint];
    memcpy(why, err->hint, sizeof why);
    err_prefix(err, "%s", name);
    err_policy(err, name);
    const char *joint = why[0] == '\0' ? "" : " ";
    if (config->origins[id].origin == ORIGIN_FILE) {
        err_hint(err, "%s%sChange it in line %u of %s.", why, joint, config->origins[id].line,
                 config->file);
    } else if (id == POLICY_listen) {
        err_hint(err, "%s%sChoose another one with --listen %s.", why, joint, form);
    } else {
        err_hint(err, "%s%sChoose another one with --set %s=%s, or do without by --set %s=.", why,
                 joint, name, form, name);
    }
    return err->code;
}

static struct listener *listen_at(struct loop *loop, const char *address, bool is_unix,
                                  const struct port_events *events, struct err *err)
{
    struct listener *l = listener_new(loop, address, is_unix, events->accepted, events->arg, err);
    if (l != NULL) {
        listener_set_farewell(l, events->farewell->data, events->farewell->bytes);
    }
    return l;
}

enum errcode ports_open_local(struct ports *p, struct loop *loop, const struct port_events *events,
                              const struct config *config, struct err *err)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = &config->policies}};
    struct policy_value path = policy_get(&view, POLICY_socket, NULL);
    enum errcode code = ERR_OK;
    if (is_set(&path) && p->is_probe) {
        code = listener_probe(path.text, err);
    } else if (is_set(&path)) {
        p->local = listen_at(loop, path.text, true, events, err);
        code = p->local == NULL ? err->code : ERR_OK;
    }
    return code == ERR_OK ? ERR_OK : blame(config, POLICY_socket, "PATH", err);
}

enum errcode ports_open(struct ports *p, struct loop *loop, const struct port_events *events,
                        const struct config *config, struct err *err)
{
    struct policy_view view = {.levels = {[LEVEL_FILE] = &config->policies}};
    struct policy_value address = policy_get(&view, POLICY_listen, NULL);
    struct policy_value path = policy_get(&view, POLICY_socket, NULL);
    struct policy_value admin = policy_get(&view, POLICY_admin_listen, NULL);
    if (!is_set(&address) && !is_set(&path)) {
        err_set(err, ERR_BAD_CONFIG, "neither listen nor socket is set: nobody could connect");
        err_hint(err, "Give --listen HOST:PORT or --set socket=PATH.");
        err_policy(err, "listen");
        return ERR_BAD_CONFIG;
    }
    if (is_set(&address)) {
        p->clients = listen_at(loop, address.text, false, events, err);
        if (p->clients == NULL) {
            return blame(config, POLICY_listen, "HOST:PORT", err);
        }
    }
    if (is_set(&admin)) {
        p->page = http_new(loop, admin.text, events->page, events->arg, err);
        if (p->page == NULL) {
            return blame(config, POLICY_admin_listen, "HOST:PORT", err);
        }
    }
    return ERR_OK;
}

void ports_warn(const struct ports *p)
{
    const char *clients = ports_clients(p), *page = ports_page(p);
    if (p->clients != NULL && !address_is_loopback(clients)) {
        log_line(LOG_WARNING,
                 "clients of other machines are let in without a password address=%s "
                 "hint=\"Let only trusted networks reach it, or use --listen 127.0.0.1:PORT.\"",
                 clients);
    }
    struct stat st;
    if (p->local != NULL && stat(ports_local(p), &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
        log_line(LOG_WARNING,
                 "every user of this machine is let in without a password socket=%s "
                 "hint=\"Start the server with an umask of 022 or 007, or put the socket into a "
                 "directory of its own.\"",
                 ports_local(p));
    }
    if (p->page != NULL && !address_is_loopback(page)) {
        log_line(LOG_WARNING,
                 "the figures can be read from other machines admin=%s "
                 "hint=\"Let only trusted networks reach it, or set admin_listen to "
                 "127.0.0.1:PORT.\"",
                 page);
    }
}

const char *ports_clients(const struct ports *p)
{
    return p->clients == NULL ? "none" : listener_address(p->clients);
}

const char *ports_local(const struct ports *p)
{
    return p->local == NULL ? "none" : listener_address(p->local);
}

const char *ports_page(const struct ports *p)
{
    return p->page == NULL ? "none" : http_address(p->page);
}

void ports_pause(struct ports *p, bool is_paused)
{
    if (p->clients != NULL) {
        listener_pause(p->clients, is_paused);
    }
    if (p->local != NULL) {
        listener_pause(p->local, is_paused);
    }
}

void ports_close_clients(struct ports *p)
{
    listener_free(p->clients);
    listener_free(p->local);
    p->clients = p->local = NULL;
}

void ports_close(struct ports *p)
{
    ports_close_clients(p);
    http_free(p->page);
    p->page = NULL;
}
