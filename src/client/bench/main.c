/* vbench: measures a vectrond.
 *
 * vbench load fills a collection, vbench search asks it, vbench ping times the smallest statement.
 */
#define _GNU_SOURCE /* getopt_long */
#include "client/bench/bench_int.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOR_LOAD = 1,
    FOR_SEARCH = 2,
    FOR_PING = 4,
    FOR_ALL = 7
};

enum {
    EXIT_INTERRUPTED = 130 /* As a shell says it of SIGINT. */
};

enum option_id {
    OPT_COLLECTION = 256,
    OPT_FILE,
    OPT_IDS,
    OPT_START,
    OPT_LIMIT,
    OPT_CREATE,
    OPT_DROP,
    OPT_METRIC,
    OPT_INDEX_MODE,
    OPT_WITH,
    OPT_BATCH,
    OPT_DEPTH,
    OPT_UPSERT,
    OPT_COPY,
    OPT_NO_WAIT,
    OPT_TRUTH,
    OPT_K,
    OPT_RECALL,
    OPT_EF,
    OPT_EXACT,
    OPT_WHERE,
    OPT_ONCE,
    OPT_CLIENTS,
    OPT_THREADS,
    OPT_DURATION,
    OPT_WARMUP,
    OPT_RATE,
    OPT_SIMPLE,
    OPT_JSON,
    OPT_HELP,
    OPT_VERSION
};

static const struct bench_option {
    const char *name;
    int id;
    unsigned commands;
    const char *value, *text;
} rows[] = {
    {"collection", OPT_COLLECTION, FOR_LOAD | FOR_SEARCH, "NAME", "the collection (bench)"},
    {"file", OPT_FILE, FOR_LOAD | FOR_SEARCH, "FILE", "vectors or queries, .fbin"},
    {"ids", OPT_IDS, FOR_LOAD | FOR_SEARCH, "FILE",
     "keys that are texts, a line a row of the vectors"},
    {"start", OPT_START, FOR_LOAD | FOR_SEARCH, "N", "without --ids: the first row's key (0)"},
    {"limit", OPT_LIMIT, FOR_LOAD, "N", "load the first N rows only"},
    {"create", OPT_CREATE, FOR_LOAD, NULL, "create the collection: id, embedding"},
    {"drop", OPT_DROP, FOR_LOAD, NULL, "drop it before"},
    {"metric", OPT_METRIC, FOR_LOAD, "NAME", "of --create: l2, cosine, dot (cosine)"},
    {"index-mode", OPT_INDEX_MODE, FOR_LOAD, "NAME", "of --create: sync, async"},
    {"with", OPT_WITH, FOR_LOAD, "TEXT", "of --create: further policies, as in WITH (...)"},
    {"batch", OPT_BATCH, FOR_LOAD, "N", "rows of an INSERT (100); 1: single rows"},
    {"depth", OPT_DEPTH, FOR_LOAD, "N", "INSERTs in flight a client (1)"},
    {"upsert", OPT_UPSERT, FOR_LOAD, NULL, "ON CONFLICT DO UPDATE"},
    {"copy", OPT_COPY, FOR_LOAD, NULL, "one COPY a client instead of INSERTs"},
    {"no-wait", OPT_NO_WAIT, FOR_LOAD, NULL, "do not wait until the index has caught up"},
    {"truth", OPT_TRUTH, FOR_SEARCH, "FILE", "true neighbours, .ibin: recall is measured"},
    {"k", OPT_K, FOR_SEARCH, "N", "neighbours (10)"},
    {"recall", OPT_RECALL, FOR_SEARCH, "X", "the policy recall of each SEARCH"},
    {"ef", OPT_EF, FOR_SEARCH, "N", "the policy ef of each SEARCH"},
    {"exact", OPT_EXACT, FOR_SEARCH, NULL, "the policy exact of each SEARCH"},
    {"where", OPT_WHERE, FOR_SEARCH, "TEXT",
     "a condition (the truth must be that of the rows it leaves)"},
    {"once", OPT_ONCE, FOR_SEARCH, NULL, "each query once, instead of --duration"},
    {"clients", OPT_CLIENTS, FOR_ALL, "N", "connections (1)"},
    {"threads", OPT_THREADS, FOR_SEARCH | FOR_PING, "N", "threads that drive them (as many)"},
    {"duration", OPT_DURATION, FOR_SEARCH | FOR_PING, "S", "seconds that are measured (10)"},
    {"warm-up", OPT_WARMUP, FOR_SEARCH | FOR_PING, "S", "seconds before (1)"},
    {"rate", OPT_RATE, FOR_SEARCH | FOR_PING, "X",
     "statements a second, timed from when they were due"},
    {"simple", OPT_SIMPLE, FOR_PING, NULL, "as a text each time, not prepared"},
    {"json", OPT_JSON, FOR_ALL, NULL, "one JSON object instead of text"},
    {"host", 'h', FOR_ALL, "HOST", "the server (127.0.0.1)"},
    {"port", 'p', FOR_ALL, "PORT", "its port (7432)"},
    {"username", 'U', FOR_ALL, "NAME", "the user"},
    {"dbname", 'd', FOR_ALL, "TEXT", "a URI or key=value pairs"},
    {"help", OPT_HELP, FOR_ALL, NULL, "this text"},
    {"version", OPT_VERSION, FOR_ALL, NULL, "the version"},
};

static const struct subcommand {
    const char *name, *text;
    unsigned bit;
    bool (*run)(const struct bench_options *options, struct bench_result *result);
} subcommands[] = {
    {"load", "fill a collection and wait for its index", FOR_LOAD, bench_load},
    {"search", "search, and measure recall and latency", FOR_SEARCH, bench_search},
    {"ping", "the smallest statement, again and again", FOR_PING, bench_ping},
};

/* What could not be written is an error. */
static int finish_output(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        bench_complain("writing the result: %s", strerror(errno));
        return 1;
    }
    return status;
}

/* ---- options ---- */

static void print_help(FILE *out)
{
    fputs("vbench measures a vectrond.\n\nUsage: vbench SUBCOMMAND [OPTION]...\n", out);
    for (size_t s = 0; s < COUNT_OF(subcommands); s++) {
        fprintf(out, "\nvbench %s: %s\n", subcommands[s].name, subcommands[s].text);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            if ((rows[i].commands & subcommands[s].bit) == 0) {
                continue;
            }
            char left[40];
            snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].value == NULL ? "" : "=",
                     rows[i].value == NULL ? "" : rows[i].value);
            fprintf(out, "  %-20s %s\n", left, rows[i].text);
        }
    }
    fputs("\nCtrl-C ends the measuring, and shows what was measured until then.\n"
          "Exit codes: 0 well, 1 it could not run, 2 statements failed, 130 Ctrl-C.\n",
          out);
}

NO_RETURN static void refuse(const char *name, const char *value, const char *what)
{
    bench_complain("--%s: \"%s\" is not %s", name, value, what);
    exit(1);
}

static uint64_t parse_count(const char *name, const char *value, uint64_t min, uint64_t max)
{
    char *end;
    char what[64];
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || n < min || n > max || value[0] == '-') {
        snprintf(what, sizeof(what), "%llu to %llu", (unsigned long long)min,
                 (unsigned long long)max);
        refuse(name, value, what);
    }
    return n;
}

static double parse_number(const char *name, const char *value, double min, double max)
{
    char *end;
    char what[64];
    double x = strtod(value, &end);
    if (end == value || *end != '\0' || !(x >= min && x <= max)) {
        snprintf(what, sizeof(what), "%g to %g", min, max);
        refuse(name, value, what);
    }
    return x;
}

static void add_conninfo(struct bench_options *o, const char *key, const char *value)
{
    size_t n = strlen(o->conninfo);
    if (strchr(value, '\'') != NULL || strchr(value, '\\') != NULL ||
        n + strlen(value) + 32 > sizeof(o->conninfo)) {
        refuse(key, value, "understood");
    }
    snprintf(o->conninfo + n, sizeof(o->conninfo) - n, " %s='%s'", key, value);
}

static void take_text(struct bench_options *o, int id, const char *value)
{
    const struct {
        int id;
        const char **to;
    } texts[] = {{OPT_COLLECTION, &o->collection}, {OPT_FILE, &o->file},  {OPT_IDS, &o->ids},
                 {OPT_METRIC, &o->metric},         {OPT_WITH, &o->with},  {OPT_TRUTH, &o->truth},
                 {OPT_INDEX_MODE, &o->index_mode}, {OPT_WHERE, &o->where}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (texts[i].id == id) {
            *texts[i].to = value;
        }
    }
}

static void take_flag(struct bench_options *o, int id)
{
    const struct {
        int id;
        bool *to;
    } flags[] = {{OPT_CREATE, &o->create}, {OPT_DROP, &o->drop},       {OPT_UPSERT, &o->upsert},
                 {OPT_COPY, &o->copy},     {OPT_NO_WAIT, &o->no_wait}, {OPT_EXACT, &o->exact},
                 {OPT_ONCE, &o->once},     {OPT_SIMPLE, &o->simple},   {OPT_JSON, &o->json}};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (flags[i].id == id) {
            *flags[i].to = true;
        }
    }
}

/* Numbers, and what describes the connection; true where it was one of those. */
static bool take_number(struct bench_options *o, int id, const char *name, const char *value)
{
    switch (id) {
    case OPT_START:
        o->start = parse_count(name, value, 0, INT64_MAX);
        return true;
    case OPT_LIMIT:
        o->limit = parse_count(name, value, 1, UINT32_MAX);
        return true;
    case OPT_BATCH:
        o->batch = (uint32_t)parse_count(name, value, 1, BENCH_BATCH_MAX);
        return true;
    case OPT_DEPTH:
        o->depth = (uint32_t)parse_count(name, value, 1, BENCH_DEPTH_MAX);
        return true;
    case OPT_K:
        o->k = (uint32_t)parse_count(name, value, 1, 100000);
        return true;
    case OPT_EF:
        o->ef = (uint32_t)parse_count(name, value, 1, 1000000);
        return true;
    case OPT_RECALL:
        o->recall = parse_number(name, value, 0.01, 1);
        return true;
    case OPT_CLIENTS:
        o->clients = (uint32_t)parse_count(name, value, 1, BENCH_CLIENTS_MAX);
        return true;
    case OPT_THREADS:
        o->threads = (uint32_t)parse_count(name, value, 1, BENCH_CLIENTS_MAX);
        return true;
    case OPT_DURATION:
        o->duration_s = parse_number(name, value, 0.01, 86400);
        return true;
    case OPT_WARMUP:
        o->warmup_s = parse_number(name, value, 0, 86400);
        return true;
    case OPT_RATE:
        o->rate = parse_number(name, value, 0.001, 1e9);
        return true;
    default:
        return false;
    }
}

static void take_option(struct bench_options *o, const struct bench_option *row, const char *value)
{
    switch (row->id) {
    case 'h':
        add_conninfo(o, "host", value);
        return;
    case 'p':
        add_conninfo(o, "port", value);
        return;
    case 'U':
        add_conninfo(o, "user", value);
        return;
    case 'd':
        if (strlen(value) >= sizeof(o->conninfo)) {
            refuse(row->name, value, "short enough");
        }
        snprintf(o->conninfo, sizeof(o->conninfo), "%s", value);
        return;
    case OPT_HELP:
        print_help(stdout);
        exit(finish_output(0));
    case OPT_VERSION:
        printf("vbench (vectrond) %s\n", vc_version());
        exit(finish_output(0));
    default:
        if (row->value == NULL) {
            take_flag(o, row->id);
        } else if (!take_number(o, row->id, row->name, value)) {
            take_text(o, row->id, value);
        }
    }
}

static void parse_options(struct bench_options *o, const struct subcommand *subcommand, int argc,
                          char **argv)
{
    struct option names[COUNT_OF(rows) + 1] = {0};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if ((rows[i].commands & subcommand->bit) != 0) {
            names[n++] = (struct option){rows[i].name, rows[i].value != NULL, NULL, rows[i].id};
        }
    }
    int id;
    while ((id = getopt_long(argc, argv, "h:p:U:d:", names, NULL)) != -1) {
        const struct bench_option *row = NULL;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            row = rows[i].id == id ? &rows[i] : row;
        }
        if (row == NULL) {
            fputs("Try \"vbench --help\".\n", stderr);
            exit(1);
        }
        take_option(o, row, optarg);
    }
    if (optind < argc) {
        bench_complain("\"%s\" is one argument too many", argv[optind]);
        exit(1);
    }
}

/* What the options say together. */
static bool check_options(struct bench_options *o, const struct subcommand *subcommand)
{
    if (o->threads == 0 || o->threads > o->clients || subcommand->bit == FOR_LOAD) {
        o->threads = o->clients;
    }
    if (subcommand->bit != FOR_PING && o->file == NULL) {
        return bench_complain("%s needs --file", subcommand->name);
    }
    if ((o->ef > 0) + (o->recall > 0) + o->exact > 1) {
        return bench_complain("only one of --recall, --ef and --exact makes sense");
    }
    if (o->once && o->rate > 0) {
        return bench_complain("--once and --rate do not go together");
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct bench_options options = {.collection = "bench",
                                           .metric = "cosine",
                                           .k = 10,
                                           .clients = 1,
                                           .batch = 100,
                                           .depth = 1,
                                           .duration_s = 10,
                                           .warmup_s = 1};
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        return finish_output(argc > 1 ? 0 : 1);
    }
    if (strcmp(name, "--version") == 0) {
        printf("vbench (vectrond) %s\n", vc_version());
        return finish_output(0);
    }
    const struct subcommand *subcommand = NULL;
    for (size_t i = 0; i < COUNT_OF(subcommands); i++) {
        subcommand = strcmp(subcommands[i].name, name) == 0 ? &subcommands[i] : subcommand;
    }
    if (subcommand == NULL) {
        bench_complain("there is no subcommand \"%s\": load, search or ping", name);
        return 1;
    }
    parse_options(&options, subcommand, argc - 1, argv + 1);
    static struct bench_result result = {.index_seconds = -1};
    if (!check_options(&options, subcommand) || !subcommand->run(&options, &result)) {
        return 1;
    }
    result.is_interrupted = bench_is_interrupted();
    report_print(stdout, &result, &options);
    return finish_output(result.is_interrupted ? EXIT_INTERRUPTED : result.errors > 0 ? 2 : 0);
}
