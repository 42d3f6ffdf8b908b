/* Findings for people, for logs and as JSON (report.h). */
#include "cli/report.h"

#include "base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

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
    if (text[0] != '\0')
        printf("    %-9s %s\n", label, text);
}

static void print_finding(const struct finding *finding)
{
    printf("%s  %s: %s\n", SEVERITIES[finding->severity].title, finding->object, finding->what);
    print_line("impact", finding->impact);
    print_line("fix", finding->fix);
    print_line("sql", finding->sql);
    print_line("undo", finding->rollback_sql);
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

static json_t *finding_json(const struct finding *finding)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", finding->id, "severity",
                     severity_name(finding->severity), "object", finding->object, "what",
                     finding->what, "impact", finding->impact, "fix", finding->fix, "sql",
                     finding->sql, "rollback_sql", finding->rollback_sql);
}

void report_findings_json(const struct findings *findings)
{
    json_t *counts = json_object();
    json_t *list = json_array();
    json_t *scripts = json_array();
    for (int severity = 0; severity < SEVERITY_COUNT; severity++)
        json_object_set_new(
            counts, severity_name((enum severity)severity),
            json_integer((json_int_t)findings_count(findings, (enum severity)severity)));
    for (size_t i = 0; i < findings->count; i++) {
        json_array_append_new(list, finding_json(&findings->items[i]));
        if (findings->items[i].sql[0] != '\0')
            json_array_append_new(scripts, json_string(findings->items[i].sql));
    }
    json_t *document =
        json_pack("{s:s, s:o, s:o, s:o}", "overall", severity_name(findings_worst(findings)),
                  "counts", counts, "findings", list, "scripts", scripts);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
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
