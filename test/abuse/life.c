/* The server's life under signals: the configuration read again, and the end. */
#define _GNU_SOURCE
#include "abuse.h"

#include <unistd.h>

/* The policy's value for a new session, as text. */
static bool limit_max_is(int64_t wanted)
{
    struct client c;
    char letter;
    bool is_so = false;
    EXPECT(client_start(&c), "no session");
    client_query(&c, "SHOW limit_max");
    EXPECT(client_send(&c), "not sent");
    while ((letter = client_next(&c)) != WIRE_READY && letter != '.' && letter != '?') {
        if (letter == WIRE_ROW) {
            char text[32];
            snprintf(text, sizeof text, "%lld", (long long)wanted);
            is_so = is_so || memmem(c.frame.payload, c.frame.payload_bytes, text, strlen(text));
        }
    }
    client_close(&c);
    return is_so;
}

enum {
    PATIENCE_STEPS = 1000, /* Of 10 ms. */
};

static bool a_hangup_reads_the_configuration_again(void)
{
    EXPECT(limit_max_is(10000), "at first");
    EXPECT(server_reload("limit_max = 777\nnet_threads = 3\n"), "not written");
    for (int i = 0; i < PATIENCE_STEPS && !limit_max_is(777); i++) {
        clock_sleep_micros(10000);
    }
    EXPECT(limit_max_is(777), "the new value is not in force");
    return true;
}

static bool reload_is_refused(const char *config)
{
    unsigned before = server_reloads_refused();
    EXPECT(server_reload(config), "not written");
    for (int i = 0; i < PATIENCE_STEPS && server_reloads_refused() == before; i++) {
        clock_sleep_micros(10000);
    }
    EXPECT(server_reloads_refused() == before + 1, "not refused: %s", config);
    return true;
}

static bool a_hangup_with_a_bad_file_changes_nothing(void)
{
    EXPECT(reload_is_refused("limit_max = 888\nlimit_maxx = 1\n"), "unknown policy");
    EXPECT(reload_is_refused("limit_max = many\n"), "no number");
    EXPECT(limit_max_is(777), "the old value is not in force any more");
    return true;
}

const struct test life_tests[] = {
    {"a_hangup_reads_the_configuration_again", a_hangup_reads_the_configuration_again},
    {"a_hangup_with_a_bad_file_changes_nothing", a_hangup_with_a_bad_file_changes_nothing},
};
const size_t n_life_tests = COUNT_OF(life_tests);
