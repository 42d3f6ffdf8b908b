/* Findings: a growing list of rows.
 *
 * The problem: checks of many kinds report into one list that is printed, counted and turned
 * into an exit status. The invariant: every text of a finding is a copy and never NULL; `id` is
 * a constant of the program. */
#include "schema/finding.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const severity_names[SEVERITY_COUNT] = {
    [SEVERITY_ADDITIVE] = "additive",
    [SEVERITY_NON_BREAKING] = "non_breaking",
    [SEVERITY_POTENTIALLY_BREAKING] = "potentially_breaking",
    [SEVERITY_BREAKING] = "breaking",
};

static char *copy(const char *text)
{
    return mem_string(text ? text : "");
}

void findings_add(struct findings *findings, const char *id, enum severity severity,
                  const char *object, const char *what, const char *impact, const char *fix,
                  const char *sql, const char *rollback_sql)
{
    if (findings->count == findings->capacity) {
        findings->capacity = findings->capacity ? findings->capacity * 2 : 16;
        findings->items =
            mem_grow(findings->items, findings->capacity, sizeof(*findings->items));
    }
    findings->items[findings->count++] = (struct finding){
        .id = id,
        .severity = severity,
        .object = copy(object),
        .what = copy(what),
        .impact = copy(impact),
        .fix = copy(fix),
        .sql = copy(sql),
        .rollback_sql = copy(rollback_sql),
    };
}

void findings_addf(struct findings *findings, const char *id, enum severity severity,
                   const char *object, const char *fix, const char *what, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, what);
    int length = vasprintf(&text, what, arguments);
    va_end(arguments);
    findings_add(findings, id, severity, object, length < 0 ? what : text, NULL, fix, NULL,
                 NULL);
    if (length >= 0)
        free(text);
}

void findings_free(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *finding = &findings->items[i];
        free(finding->object);
        free(finding->what);
        free(finding->impact);
        free(finding->fix);
        free(finding->sql);
        free(finding->rollback_sql);
    }
    free(findings->items);
    *findings = (struct findings){0};
}

enum severity findings_worst(const struct findings *findings)
{
    enum severity worst = SEVERITY_ADDITIVE;
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity > worst)
            worst = findings->items[i].severity;
    return worst;
}

size_t findings_count(const struct findings *findings, enum severity severity)
{
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++)
        count += findings->items[i].severity == severity;
    return count;
}

const char *severity_name(enum severity severity)
{
    return severity_names[severity];
}
