/* What a run gave, as text for people and as one JSON object for programs. */
#include "client/bench/bench_int.h"

#include <stdio.h>
#include <string.h>

static double per_second(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

static double mean_us(const struct histogram *h)
{
    return h->n == 0 ? 0 : h->sum_ns / (double)h->n / 1000;
}

static void put_json_text(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            fprintf(out, "\\u%04x", c);
        } else {
            putc(c, out);
        }
    }
    putc('"', out);
}

static void print_json(FILE *out, const struct bench_result *r, const struct bench_options *o)
{
    fprintf(out, "{\"benchmark\": \"%s\", \"clients\": %u, \"threads\": %u, \"seconds\": %.3f, ",
            r->benchmark, o->clients, o->threads, r->seconds);
    if (r->recall_n > 0) {
        fprintf(out, "\"recall\": %.5f, ", r->recall_sum / (double)r->recall_n);
    } else {
        fputs("\"recall\": null, ", out);
    }
    fprintf(out, "\"requests\": %llu, \"errors\": %llu, \"qps\": %.1f, ",
            (unsigned long long)r->latency.n, (unsigned long long)r->errors,
            per_second((double)r->latency.n, r->seconds));
    fprintf(out, "\"mean_us\": %.1f, \"p50_us\": %.1f, \"p95_us\": %.1f, \"p99_us\": %.1f, ",
            mean_us(&r->latency), histogram_quantile_us(&r->latency, 0.50),
            histogram_quantile_us(&r->latency, 0.95), histogram_quantile_us(&r->latency, 0.99));
    fprintf(out, "\"p999_us\": %.1f, \"max_us\": %.1f", histogram_quantile_us(&r->latency, 0.999),
            (double)r->latency.max_ns / 1000);
    if (strcmp(r->benchmark, "load") == 0) {
        fprintf(out, ", \"rows\": %llu, \"rows_per_s\": %.1f", (unsigned long long)r->rows,
                per_second((double)r->rows, r->seconds));
        if (r->index_seconds >= 0) {
            fprintf(out, ", \"index_seconds\": %.3f, \"index_rows_per_s\": %.1f", r->index_seconds,
                    per_second((double)r->rows, r->index_seconds));
        }
    }
    if (r->is_interrupted) {
        fputs(", \"interrupted\": true", out);
    }
    if (r->first_error[0] != '\0') {
        fputs(", \"first_error\": ", out);
        put_json_text(out, r->first_error);
    }
    fputs("}\n", out);
}

static void print_text(FILE *out, const struct bench_result *r, const struct bench_options *o)
{
    fprintf(out, "%s: %u client%s, %u thread%s, %.2f s\n", r->benchmark, o->clients,
            o->clients == 1 ? "" : "s", o->threads, o->threads == 1 ? "" : "s", r->seconds);
    if (strcmp(r->benchmark, "load") == 0) {
        fprintf(out, "  rows         %llu acknowledged in %.2f s: %.0f rows/s\n",
                (unsigned long long)r->rows, r->seconds, per_second((double)r->rows, r->seconds));
        if (r->index_seconds >= 0) {
            fprintf(out, "  index        caught up after %.2f s: %.0f rows/s\n", r->index_seconds,
                    per_second((double)r->rows, r->index_seconds));
        }
    }
    if (r->recall_n > 0) {
        fprintf(out, "  recall@%-5u %.4f\n", o->k, r->recall_sum / (double)r->recall_n);
    }
    fprintf(out, "  statements   %llu, %.0f a second\n", (unsigned long long)r->latency.n,
            per_second((double)r->latency.n, r->seconds));
    fprintf(out, "  latency, us  mean %.1f  p50 %.1f  p95 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
            mean_us(&r->latency), histogram_quantile_us(&r->latency, 0.50),
            histogram_quantile_us(&r->latency, 0.95), histogram_quantile_us(&r->latency, 0.99),
            histogram_quantile_us(&r->latency, 0.999), (double)r->latency.max_ns / 1000);
    if (r->is_interrupted) {
        fputs("  interrupted  what was measured until then\n", out);
    }
    fprintf(out, "  errors       %llu%s%s\n", (unsigned long long)r->errors,
            r->errors > 0 ? ", the first: " : "", r->first_error);
}

void report_print(FILE *out, const struct bench_result *result, const struct bench_options *options)
{
    if (options->json) {
        print_json(out, result, options);
    } else {
        print_text(out, result, options);
    }
}
