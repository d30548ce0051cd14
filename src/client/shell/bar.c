/* The progress bar: one line on a terminal's standard error, redrawn ten times a second at most. */
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BAR_INTERVAL_US = 100000,
    BAR_CELLS = 24,
    BAR_TEXT_BYTES = 256
};

struct bar {
    char what[64];
    const char *unit;
    uint64_t total;
    uint64_t begun_us, drawn_us;
};

/* 12,345 */
static void format_count(uint64_t n, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    char *to = out;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
}

static void format_amount(uint64_t n, const char *unit, char out[48])
{
    if (strcmp(unit, "bytes") == 0) {
        snprintf(out, 48, "%.1f MB", (double)n / 1e6);
        return;
    }
    char count[32];
    format_count(n, count);
    snprintf(out, 48, "%s %s", count, unit);
}

void bar_render(const struct bar_state *state, unsigned columns, char *out, size_t bytes)
{
    char amount[48], rate_text[48];
    double seconds = (double)state->elapsed_us / 1e6;
    double rate = seconds > 0 ? (double)state->done / seconds : 0;
    format_amount(state->done, state->unit, amount);
    format_amount((uint64_t)rate, state->unit, rate_text);
    if (state->total == 0) {
        snprintf(out, bytes, "%s  %s  %s/s", state->what, amount, rate_text);
    } else {
        uint64_t done = state->done < state->total ? state->done : state->total;
        double share = (double)done / (double)state->total;
        char cells[BAR_CELLS + 1];
        int filled = (int)(share * BAR_CELLS);
        for (int i = 0; i < BAR_CELLS; i++) {
            cells[i] = i < filled ? '#' : '-';
        }
        cells[BAR_CELLS] = '\0';
        char left[32] = "";
        if (rate > 0) {
            uint64_t seconds_left = (uint64_t)((double)(state->total - done) / rate + 0.5);
            snprintf(left, sizeof(left), "  %llu:%02llu left",
                     (unsigned long long)(seconds_left / 60),
                     (unsigned long long)(seconds_left % 60));
        }
        snprintf(out, bytes, "%s [%s] %3d%%  %s  %s/s%s", state->what, cells, (int)(share * 100),
                 amount, rate_text, left);
    }
    size_t end = 0, used;
    unsigned width, total = 0;
    while (out[end] != '\0') {
        used = text_next(out + end, strlen(out + end), &width);
        if (total + width >= columns) {
            out[end] = '\0';
            break;
        }
        total += width;
        end += used;
    }
}

struct bar *bar_new(const char *what, const char *unit, uint64_t total)
{
    if (!isatty(STDERR_FILENO)) {
        return NULL;
    }
    struct bar *bar = calloc(1, sizeof(*bar));
    if (bar == NULL) {
        return NULL; /* Nothing is lost but the sight of it. */
    }
    snprintf(bar->what, sizeof(bar->what), "%s", what);
    bar->unit = unit;
    bar->total = total;
    bar->begun_us = bar->drawn_us = clock_micros();
    return bar;
}

static void draw(struct bar *bar, uint64_t done, uint64_t now_us)
{
    struct bar_state state = {bar->what, bar->unit, done, bar->total, now_us - bar->begun_us};
    unsigned rows, columns;
    char text[BAR_TEXT_BYTES];
    screen_size(&rows, &columns);
    bar_render(&state, columns, text, sizeof(text));
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    bar->drawn_us = now_us;
}

void bar_update(struct bar *bar, uint64_t done)
{
    if (bar == NULL) {
        return;
    }
    uint64_t now_us = clock_micros();
    if (now_us - bar->drawn_us >= BAR_INTERVAL_US) {
        draw(bar, done, now_us);
    }
}

void bar_phase(struct bar *bar, const char *phase, uint64_t done, uint64_t total)
{
    if (bar == NULL) {
        return;
    }
    uint64_t now_us = clock_micros();
    if (strcmp(bar->what, phase) != 0) {
        snprintf(bar->what, sizeof(bar->what), "%s", phase);
        bar->begun_us = now_us;
        bar->drawn_us = 0;
    }
    bar->total = total;
    if (now_us - bar->drawn_us >= BAR_INTERVAL_US) {
        draw(bar, done, now_us);
    }
}

void bar_free(struct bar *bar)
{
    if (bar != NULL) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        free(bar);
    }
}
