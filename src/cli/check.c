/* slackwater check: may this migration run? Nothing is created or written.
 *
 * Two databases, by the rules; or two schema files (--before, --after), where no database is
 * asked. */
#include "cli/command.h"
#include "cli/live.h"
#include "cli/migration.h"
#include "cli/report.h"
#include "schema/compare.h"
#include "schema/schema_file.h"

#include <stdio.h>

static bool refuse_mixed(const struct options *options, struct err *err)
{
    if (!options->before != !options->after)
        return err_set(err, ERR_CONFIG, "--before and --after belong together: %s is missing",
                       options->before ? "--after" : "--before");
    if (options->json && options->sql)
        return err_set(err, ERR_CONFIG, "--json or --sql: both at once cannot be printed");
    return true;
}

/* ---- two files ---- */

static void print_files(const struct options *options, const struct findings *findings)
{
    if (options->json)
        report_findings_json(findings, NULL);
    else if (options->sql)
        report_findings_sql(findings, false);
    else
        report_findings(findings);
}

static int check_files(const struct options *options)
{
    struct catalog *before = NULL, *after = NULL;
    struct findings findings = {0};
    struct err err = {0};
    int status = 2;
    if (schema_file_load(options->before, &before, &findings, &err) &&
        schema_file_load(options->after, &after, &findings, &err)) {
        compare_files(before, after, &findings);
        print_files(options, &findings);
        status = report_exit_status(&findings);
    } else {
        command_complain(&err);
    }
    findings_free(&findings);
    catalog_free(before);
    catalog_free(after);
    return status;
}

/* ---- two databases ---- */

static void print_live(const struct options *options, const struct migration *migration)
{
    if (options->json) {
        report_findings_json(&migration->findings, live_formats_json(migration));
    } else if (options->sql) {
        report_findings_sql(&migration->findings, true);
    } else {
        live_print_formats(migration);
        report_findings(&migration->findings);
    }
}

static int check_live(const struct invocation *invocation)
{
    struct migration migration;
    struct err err = {0};
    if (!migration_open(&migration, invocation->config, invocation->stop, &err)) {
        command_complain(&err);
        return 2;
    }
    int status = 2;
    if (!migration_bind(&migration, true, &err) || !live_compare(&migration, &err)) {
        command_complain(&err);
    } else {
        print_live(invocation->options, &migration);
        status = report_exit_status(&migration.findings);
    }
    migration_close(&migration);
    return status;
}

int command_check(const struct invocation *invocation)
{
    struct err err = {0};
    if (!refuse_mixed(invocation->options, &err)) {
        command_complain(&err);
        return 2;
    }
    return invocation->options->before ? check_files(invocation->options)
                                       : check_live(invocation);
}
