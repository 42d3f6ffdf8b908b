/* slackwater check: may this migration run? Nothing is created or written. */
#include "cli/command.h"
#include "cli/migration.h"
#include "cli/report.h"

#include <stdio.h>

/* How values travel, for the curious: it is a property of the whole stream. */
static void print_formats(const struct migration *migration)
{
    if (migration->chain == NULL)
        return;
    printf("%zu table(s); the stream carries values as %s%s%s\n", migration->source_count,
           migration->chain->stream_binary ? "binary" : "text, because of ",
           migration->chain->stream_binary ? "" : migration->chain->stream_text_reason, "");
}

int command_check(const struct invocation *invocation)
{
    struct migration migration;
    struct err err = {0};
    if (!migration_open(&migration, invocation->config, invocation->stop, &err)) {
        command_complain(&err);
        return 2;
    }
    int status = 2;
    if (!migration_bind(&migration, true, &err)) {
        command_complain(&err);
    } else {
        if (invocation->options->json) {
            report_findings_json(&migration.findings);
        } else {
            print_formats(&migration);
            report_findings(&migration.findings);
        }
        status = report_exit_status(&migration.findings);
    }
    migration_close(&migration);
    return status;
}
