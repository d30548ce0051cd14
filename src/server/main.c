/* vectrond: reads its options and its configuration, then serves or prints. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/server.h"

static void print(const struct buf *b)
{
    fwrite(b->data, 1, b->bytes, stdout);
}

static int complain(const struct err *err)
{
    fprintf(stderr, "vectrond: %s\n", err->message);
    if (err->hint[0] != '\0') {
        fprintf(stderr, "hint: %s\n", err->hint);
    }
    return 1;
}

/* Where one of the three is closed, the next file that is opened would take its number, and what is
 * written to the log would go into the data. */
static bool hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) != fd) {
            return false;
        }
    }
    return true;
}

/* Only builds with fault points know the variable; others must not seem to obey it. */
static bool arm_faults(void)
{
    const char *text = getenv("VECTROND_FAULTS");
    if (text != NULL && !fault_arm_from_text(text)) {
        fprintf(stderr, "vectrond: VECTROND_FAULTS=%s is not understood by this build\n", text);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct err err;
    struct server_options options;
    struct config config;
    if (!hold_standard_streams() || !arm_faults()) {
        return 1;
    }
    if (options_read(&options, argc, argv, &err) != ERR_OK) {
        return complain(&err);
    }
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1 << 20);
    int status = 0;
    if (options.is_help) {
        options_help(&b);
        print(&b);
    } else if (options.is_version) {
        printf("vectrond %s\n", VECTROND_VERSION);
    } else {
        bool is_good = config_load(&options, &config, &err) == ERR_OK;
        if (is_good && options.is_check) {
            config_print(&b, &config, &options);
            print(&b);
            is_good = server_check(&options, &config, &err) == ERR_OK;
        } else if (is_good) {
            is_good = server_run(&options, &config, &err) == 0;
        }
        status = is_good ? 0 : complain(&err);
    }
    buf_fini(&b);
    return status;
}
