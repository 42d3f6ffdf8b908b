/* See reshape.h. */
#include "cli/reshape.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/run_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MOST 2
#define PAUSE USEC_PER_SEC

void reshape_init(struct reshape *reshape, const struct invocation *invocation)
{
    *reshape = (struct reshape){.options = *invocation->options, .stop = invocation->stop};
    reshape->config = mem_zero(1, sizeof *reshape->config);
    *reshape->config = *invocation->config;
}

static void forget_before(struct reshape *reshape)
{
    if (reshape->begun)
        migration_close(&reshape->before);
    reshape->before = (struct migration){0};
}

void reshape_free(struct reshape *reshape)
{
    forget_before(reshape);
    free(reshape->config); /* what it points to is the invocation's, and the address */
    free(reshape->address);
}

/* ---- between rounds ---- */

/* What the first round has done or found out holds for the next ones too. */
static void carry_over(struct reshape *reshape, const struct run *run)
{
    if (run->handoff != NULL) /* else nothing, or a part of it, is emptied yet */
        reshape->options.redo.count = 0;
    if (run->until != LSN_NONE) {
        reshape->options.until_caught_up = false;
        reshape->options.until_lsn = run->until;
    }
    free(reshape->address);
    reshape->address = mem_string(http_address(run->http));
    reshape->config->http_listen = reshape->address;
}

/* The target, too, says in its own words that it is not as it was. */
static bool is_about_shape(const struct err *err)
{
    static const char *const STATES[] = {"42703", "42P01", "3F000", "42804"};
    if (err->class == ERR_SHAPE)
        return true;
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++)
        if (err->class == ERR_DATA && strcmp(err->sqlstate, STATES[i]) == 0)
            return true;
    return false;
}

static bool is_of_copy(const struct run *run)
{
    struct err ignored = {0};
    return run->copier != NULL && copier_has_failed(run->copier, &ignored);
}

static uint64_t chunks_copied(const struct run *run)
{
    uint64_t chunks = 0;
    for (size_t i = 0; i < run->migration.source_count; i++)
        chunks += counter_get(&run->progress.tables[i].chunks_copied);
    return chunks;
}

static bool may_try(struct standstill *still, uint64_t at)
{
    still->tries = still->begun && still->at == at ? still->tries + 1 : 0;
    still->begun = true;
    still->at = at;
    return still->tries < TRIES_MOST;
}

static bool may_go_on(struct reshape *reshape, const struct run *run)
{
    if (is_of_copy(run))
        return may_try(&reshape->copy, chunks_copied(run));
    if (!may_try(&reshape->stream, counter_get(&run->progress.applied)))
        return false;
    reshape->as_text |= reshape->stream.tries > 0;
    return true;
}

bool reshape_is_due(struct reshape *reshape, const struct run *run, const struct err *err)
{
    reshape->due = is_about_shape(err) && may_go_on(reshape, run);
    if (!reshape->due)
        return false;
    reshape->cause = *err;
    carry_over(reshape, run);
    log_event(LOG_WARN, "the schema has changed: binding the rules anew",
              log_text("change", err->message),
              log_lsn("applied", counter_get(&run->progress.applied)));
    return true;
}

void reshape_keep(struct reshape *reshape, struct migration *migration)
{
    forget_before(reshape);
    session_close(&migration->source);
    session_close(&migration->target);
    reshape->before = *migration;
    *migration = (struct migration){0}; /* moved */
    reshape->begun = true;
}

bool reshape_waits(struct reshape *reshape, const struct err *err)
{
    reshape->due = false;
    if (!reshape->begun || err->class != ERR_RETRY)
        return false;
    log_event(LOG_WARN, "the rules cannot be bound anew yet, trying again",
              log_text("error", err->message));
    reshape->due = !stop_wait(reshape->stop, clock_monotonic() + PAUSE);
    return true;
}

/* ---- what has changed ---- */

/* The findings that refuse the rules as they meet the new shape: before what the stream stands at. */
static bool refuse_findings(const struct reshape *reshape, const struct migration *now,
                            struct err *err)
{
    for (size_t i = 0; i < now->findings.count; i++) {
        const struct finding *finding = &now->findings.items[i];
        if (finding->severity < SEVERITY_BREAKING)
            continue;
        err_set(err, ERR_SHAPE, "%.500s: %.500s", finding->what, reshape->cause.message);
        return finding->sql[0]
                   ? err_remedy(err, "%s, then run again: %s", finding->fix, finding->sql)
                   : err_remedy(err, "%s; then run again", finding->fix);
    }
    return true;
}

bool reshape_accept(struct reshape *reshape, struct migration *migration, struct err *err)
{
    reshape->due = false;
    if (!reshape->begun)
        return true;
    if (!refuse_findings(reshape, migration, err))
        return false;
    if (reshape->as_text)
        migration_take_text(migration, "changes of before have columns of other types");
    log_event(LOG_INFO, "the rules are bound anew",
              log_text("format", migration->chain->stream_binary ? "binary" : "text"));
    return true;
}
