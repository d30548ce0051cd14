/* The door of server: one process, from its options to its exit status.
 *
 *   main -> options_read -> config_load -> [--check: config_print]
 *        -> server_run: directory, network threads, ports, mode, "ready", until a signal
 *        -> drain, stop, flush, exit
 */
#ifndef VECTRON_SERVER_H
#define VECTRON_SERVER_H

#include "base/base.h"

enum {
    OPTIONS_SET_MAX = 64,
};

/* What the command line says.  Texts are borrowed from argv. */
struct server_options {
    const char *data, *mode, *listen, *config_file;
    const char *set[OPTIONS_SET_MAX]; /* "NAME=VALUE" */
    unsigned n_set;
    bool is_check, is_version, is_help;
};
enum errcode options_read(struct server_options *out, int argc, char **argv,
                          struct err *err) WARN_UNUSED;
void options_help(struct buf *b);

#define MODE_DEFAULT "standalone"
void mode_names(struct buf *b); /* Those that exist, with what they are. */

/* Where the value of a policy was set. */
enum config_origin {
    ORIGIN_BUILT_IN,
    ORIGIN_FILE,
    ORIGIN_SET,    /* --set */
    ORIGIN_LISTEN, /* --listen */
};

/* The file and the options together, level LEVEL_FILE. */
struct config {
    struct policy_set policies;
    const char *file; /* Where it comes from, or NULL.  Borrowed from the options. */
    struct {
        enum config_origin origin;
        unsigned line; /* ORIGIN_FILE */
    } origins[POLICY_COUNT];
};
/* Options win over the file.  Errors: BAD_CONFIG, IO, OUT_OF_MEMORY and those of policy_assign;
 * the message begins with FILE:LINE or with the option. */
enum errcode config_load(const struct server_options *options, struct config *out,
                         struct err *err) WARN_UNUSED;
/* The same from a file's text, for config_load and its tests. */
enum errcode config_parse(const char *file, const char *text, size_t bytes, struct config *out,
                          struct err *err) WARN_UNUSED;
/* Every policy that a file can set, in the form of the file, with its origin as a comment. */
void config_print(struct buf *b, const struct config *config, const struct server_options *options);

/* Says what a start would refuse, with the same message, and changes nothing: mode, directory,
 * address space, ports.  What is in the log and the shards is not looked at. */
enum errcode server_check(const struct server_options *options, const struct config *config,
                          struct err *err) WARN_UNUSED;
/* Serves until a signal ends it.  The process's exit status: 0, or 1 where *err tells why. */
int server_run(const struct server_options *options, const struct config *config, struct err *err);

#endif
