/* Findings for people, for logs and as JSON (report.h). */
#include "cli/report.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/plain.h"
#include "schema/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *title;
    enum log_level level;
    int exit_status;
} SEVERITIES[SEVERITY_COUNT] = {
    [SEVERITY_ADDITIVE] = {"additive", LOG_INFO, 0},
    [SEVERITY_NON_BREAKING] = {"note", LOG_INFO, 0},
    [SEVERITY_POTENTIALLY_BREAKING] = {"POTENTIALLY BREAKING", LOG_WARN, 1},
    [SEVERITY_BREAKING] = {"BREAKING", LOG_ERROR, 2},
};

static void print_line(const char *label, const char *text)
{
    if (text[0] == '\0')
        return;
    printf("    %-9s ", label);
    plain_print(stdout, text);
    putchar('\n');
}

static void print_finding(const struct finding *finding)
{
    printf("%s  ", SEVERITIES[finding->severity].title);
    plain_print(stdout, finding->object);
    fputs(": ", stdout);
    plain_print(stdout, finding->what);
    putchar('\n');
    print_line("impact", finding->impact);
    print_line("fix", finding->fix);
    print_line("sql", finding->sql);
    print_line("undo", finding->rollback_sql);
    print_line("touches", finding->operations);
    print_line("count", finding->validation_query);
    print_line("today", finding->validation);
}

void report_findings(const struct findings *findings)
{
    for (int severity = SEVERITY_COUNT - 1; severity >= 0; severity--)
        for (size_t i = 0; i < findings->count; i++)
            if ((int)findings->items[i].severity == severity)
                print_finding(&findings->items[i]);
    printf("%zu breaking, %zu potentially breaking, %zu notes\n",
           findings_count(findings, SEVERITY_BREAKING),
           findings_count(findings, SEVERITY_POTENTIALLY_BREAKING),
           findings_count(findings, SEVERITY_NON_BREAKING) +
               findings_count(findings, SEVERITY_ADDITIVE));
}

/* Names and messages of servers may hold bytes that are not UTF-8: those are left out. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    char *copy = mem_string(text);
    for (char *at = copy; *at != '\0'; at++)
        *at = (*at & 0x80) != 0 ? '?' : *at;
    value = json_string(copy);
    free(copy);
    return value;
}

/* "INSERT, UPDATE" as an array. */
static json_t *operations_json(const char *operations)
{
    json_t *list = json_array();
    while (*operations != '\0') {
        size_t size = strcspn(operations, ",");
        json_array_append_new(list, json_stringn(operations, size));
        operations += size;
        operations += strspn(operations, ", ");
    }
    return list;
}

static json_t *finding_json(const struct finding *finding)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"id", finding->id},
        {"severity", severity_name(finding->severity)},
        {"object", finding->object},
        {"what", finding->what},
        {"impact", finding->impact},
        {"fix", finding->fix},
        {"sql", finding->sql},
        {"rollback_sql", finding->rollback_sql},
        {"validation_query", finding->validation_query},
        {"validation", finding->validation},
    };
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_object_set_new(object, texts[i].name, text_json(texts[i].text));
    json_object_set_new(object, "operations", operations_json(finding->operations));
    return object;
}

static json_t *scripts_json(const struct findings *findings)
{
    size_t count;
    struct script_step *steps = script_steps(findings, &count);
    json_t *scripts = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(scripts, text_json(steps[i].finding->sql));
    free(steps);
    return scripts;
}

static json_t *counts_json(const struct findings *findings)
{
    json_t *counts = json_object();
    for (int severity = 0; severity < SEVERITY_COUNT; severity++)
        json_object_set_new(
            counts, severity_name((enum severity)severity),
            json_integer((json_int_t)findings_count(findings, (enum severity)severity)));
    return counts;
}

void report_findings_json(const struct findings *findings, json_t *more)
{
    json_t *list = json_array();
    for (size_t i = 0; i < findings->count; i++)
        json_array_append_new(list, finding_json(&findings->items[i]));
    json_t *document = json_pack(
        "{s:s, s:o, s:o, s:o}", "overall", severity_name(findings_worst(findings)), "counts",
        counts_json(findings), "findings", list, "scripts", scripts_json(findings));
    if (more != NULL)
        json_object_update(document, more);
    json_decref(more);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
}

/* ---- as a script ---- */

/* A comment ends at its line, and others chose the names in it. */
static void print_comment(const char *label, const char *text)
{
    fputs("--", stdout);
    plain_print(stdout, label);
    plain_print(stdout, text);
    putchar('\n');
}

static void print_step(const struct script_step *step, bool live)
{
    const struct finding *finding = step->finding;
    size_t size = strlen(finding->sql);
    char *title = mem_format(" %s, %s: ", severity_name(finding->severity), finding->object);
    print_comment(title, finding->what);
    free(title);
    if (live)
        print_comment(" run at: ", step->side == SCRIPT_SOURCE ? "source" : "target");
    if (finding->validation_query[0] != '\0')
        print_comment(" rows in its way: ", finding->validation_query);
    printf("%s%s\n", finding->sql, size > 0 && finding->sql[size - 1] == ';' ? "" : ";");
    if (finding->rollback_sql[0] != '\0')
        print_comment(" undo: ", finding->rollback_sql);
    putchar('\n');
}

void report_findings_sql(const struct findings *findings, bool live)
{
    size_t count;
    struct script_step *steps = script_steps(findings, &count);
    printf(
        "-- slackwater check: %zu suggested statement(s), in a safe order.\n"
        "-- Read each before you run it. CONCURRENTLY does not work inside a transaction.\n\n",
        count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || steps[i].phase != steps[i - 1].phase)
            printf("-- ---- %s ----\n\n", script_phase_name(steps[i].phase));
        print_step(&steps[i], live);
    }
    free(steps);
}

void report_findings_log(const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        log_event(SEVERITIES[finding->severity].level, finding->what,
                  log_text("finding", finding->id), log_text("object", finding->object),
                  log_text("severity", severity_name(finding->severity)),
                  log_text("fix", finding->fix), log_text("sql", finding->sql));
    }
}

int report_exit_status(const struct findings *findings)
{
    return findings->count == 0 ? 0 : SEVERITIES[findings_worst(findings)].exit_status;
}
