/* Prometheus text exposition (https://prometheus.io/docs/instrumenting/exposition_formats/):
 * for each family HELP, TYPE and its samples, together. The families are metrics.def; here is
 * only how they are written. */
#include "observe/metrics.h"

#include "observe/text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What an expression of metrics.def may look at. */
struct point {
    const struct status *run;
    const struct table_status *table;
    const struct gate_status *gate;
    enum phase phase;
    enum backfill_wait wait;
};

static double seconds(usec_t time)
{
    return time < 0 ? NAN : (double)time / USEC_PER_SEC;
}

static double known(int64_t count)
{
    return count < 0 ? NAN : (double)count;
}

static double position(lsn_t lsn)
{
    return lsn == LSN_NONE ? NAN : (double)lsn;
}

static usec_t below_for(const struct status *run)
{
    usec_t since = run->lag.below_since;
    return since && run->now_monotonic > since ? run->now_monotonic - since : 0;
}

static double slot_is_healthy(const struct slot_status *slot)
{
    return strcmp(slot->wal_status, "reserved") == 0 ||
           strcmp(slot->wal_status, "extended") == 0;
}

/* One function a metric, out of its expression. */
#define METRIC(scope, name, type, help, expression)                                            \
    static double value_##name(const struct point *point)                                      \
    {                                                                                          \
        const struct status *run __attribute__((unused)) = point->run;                         \
        const struct table_status *table __attribute__((unused)) = point->table;               \
        const struct gate_status *gate __attribute__((unused)) = point->gate;                  \
        const enum phase phase __attribute__((unused)) = point->phase;                         \
        const enum backfill_wait wait __attribute__((unused)) = point->wait;                   \
        return (double)(expression);                                                           \
    }
#include "observe/metrics.def"
#undef METRIC

enum scope { RUN, TABLE, GATE, PHASE, WAIT, BUILD };

static const struct metric {
    enum scope scope;
    const char *name;
    const char *type;
    const char *help;
    double (*value)(const struct point *point);
} metrics[] = {
#define METRIC(scope, name, type, help, expression)                                            \
    {scope, "slackwater_" #name, #type, help, value_##name},
#include "observe/metrics.def"
#undef METRIC
};

/* Label values escape backslash, quote and line feed, and must be UTF-8. */
static void append_label(struct buf *out, const char *name, const char *value)
{
    struct buf valid = {0};
    text_append_valid(&valid, value ? value : "");
    buf_append_format(out, "%s=\"", name);
    for (const char *at = buf_text(&valid); *at; at++) {
        if (*at == '\n')
            buf_append_text(out, "\\n");
        else if (*at == '\\' || *at == '"')
            buf_append_format(out, "\\%c", *at);
        else
            buf_append_char(out, *at);
    }
    buf_append_char(out, '"');
    buf_free(&valid);
}

/* Integers in full: a counter's last digits are its rate. */
static void append_value(struct buf *out, double value)
{
    if (value == floor(value) && fabs(value) < 9007199254740992.0)
        buf_append_format(out, " %.0f\n", value);
    else
        buf_append_format(out, " %.17g\n", value);
}

/* The labels of a sample beside `migration`. */
static void append_scope_labels(struct buf *out, enum scope scope, const struct point *point)
{
    switch (scope) {
    case RUN:
        return;
    case TABLE:
        buf_append_char(out, ',');
        append_label(out, "source", point->table->source);
        buf_append_char(out, ',');
        append_label(out, "target", point->table->target);
        return;
    case GATE:
        buf_append_char(out, ',');
        append_label(out, "gate", point->gate->name);
        return;
    case PHASE:
        buf_append_char(out, ',');
        append_label(out, "phase", phase_name(point->phase));
        return;
    case WAIT:
        buf_append_char(out, ',');
        append_label(out, "reason", backfill_wait_name(point->wait));
        return;
    case BUILD:
        buf_append_char(out, ',');
        append_label(out, "version", point->run->version);
        buf_append_char(out, ',');
        append_label(out, "instance", point->run->instance);
        return;
    }
}

static size_t sample_count(const struct status *status, enum scope scope)
{
    switch (scope) {
    case RUN:
    case BUILD:
        return 1;
    case TABLE:
        return status->table_count;
    case GATE:
        return status->gate_count;
    case PHASE:
        return PHASE_STOPPING + 1;
    case WAIT:
        return BACKFILL_WAITS;
    }
    return 0;
}

static struct point point_at(const struct status *status, enum scope scope, size_t index)
{
    return (struct point){
        .run = status,
        .table = scope == TABLE ? &status->tables[index] : NULL,
        .gate = scope == GATE ? &status->gates[index] : NULL,
        .phase = scope == PHASE ? (enum phase)index : PHASE_STARTING,
        .wait = scope == WAIT ? (enum backfill_wait)index : WAIT_PAUSED,
    };
}

static void append_family(struct buf *out, const struct status *status,
                          const struct metric *metric)
{
    bool headed = false;
    size_t count = sample_count(status, metric->scope);
    for (size_t i = 0; i < count; i++) {
        struct point point = point_at(status, metric->scope, i);
        double value = metric->value(&point);
        if (isnan(value))
            continue;
        if (!headed)
            buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                              metric->name, metric->type);
        headed = true;
        buf_append_format(out, "%s{", metric->name);
        append_label(out, "migration", status->migration);
        append_scope_labels(out, metric->scope, &point);
        buf_append_char(out, '}');
        append_value(out, value);
    }
}

void metrics_render(const struct status *status, struct buf *out)
{
    for (size_t i = 0; i < COUNT(metrics); i++)
        append_family(out, status, &metrics[i]);
}
