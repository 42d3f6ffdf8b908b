/* Findings: a growing list of rows.
 *
 * The problem: checks of many kinds report into one list that is printed, counted and turned
 * into an exit status. The invariant: every text of a finding is a copy and never NULL; `id` is
 * a constant of the program. */
#include "schema/finding.h"

#include "base/mem.h"
#include "schema/finding_kind.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const char *usual_operations(const char *id)
{
    const struct finding_kind *kind = finding_kind(id);

    return kind ? kind->operations : "";
}

void findings_put(struct findings *findings, const struct finding *finding)
{
    if (findings->count == findings->capacity) {
        findings->capacity = findings->capacity ? findings->capacity * 2 : 16;
        findings->items =
            mem_grow(findings->items, findings->capacity, sizeof(*findings->items));
    }
    findings->items[findings->count++] = (struct finding){
        .id = finding->id,
        .severity = finding->severity,
        .object = copy(finding->object),
        .what = copy(finding->what),
        .impact = copy(finding->impact),
        .fix = copy(finding->fix),
        .sql = copy(finding->sql),
        .rollback_sql = copy(finding->rollback_sql),
        .operations =
            copy(finding->operations ? finding->operations : usual_operations(finding->id)),
        .validation_query = copy(finding->validation_query),
        .validation = copy(finding->validation),
    };
}

void findings_add(struct findings *findings, const char *id, enum severity severity,
                  const char *object, const char *what, const char *impact, const char *fix,
                  const char *sql, const char *rollback_sql)
{
    findings_put(findings, &(struct finding){.id = id,
                                             .severity = severity,
                                             .object = object,
                                             .what = what,
                                             .impact = impact,
                                             .fix = fix,
                                             .sql = sql,
                                             .rollback_sql = rollback_sql});
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

void findings_fix_too(struct findings *findings, const char *id, const char *more)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *finding = &findings->items[i];
        if (strcmp(finding->id, id) != 0)
            continue;
        char *fix = mem_format("%s; %s", finding->fix, more);
        free((char *)finding->fix);
        finding->fix = fix;
    }
}

void findings_validated(struct findings *findings, size_t index, enum severity severity,
                        const char *validation)
{
    struct finding *finding = &findings->items[index];
    free((char *)finding->validation);
    finding->validation = copy(validation);
    finding->severity = severity;
}

void findings_free(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *finding = &findings->items[i];
        free((char *)finding->object);
        free((char *)finding->what);
        free((char *)finding->impact);
        free((char *)finding->fix);
        free((char *)finding->sql);
        free((char *)finding->rollback_sql);
        free((char *)finding->operations);
        free((char *)finding->validation_query);
        free((char *)finding->validation);
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
