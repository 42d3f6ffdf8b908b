/* slackwater accept: the operator's word that the migration goes on with tables as they are now
 * (cli/accepted.h). It is kept at the target, where the next start of the run finds it; what changes
 * after that is asked about again. */
#include "base/mem.h"
#include "base/plain.h"
#include "cli/accepted.h"
#include "cli/choice.h"
#include "cli/command.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WAITS[] = "source.shape_changed";

static void print_waiting(const struct finding *finding)
{
    fputs("accepted: ", stdout);
    plain_print(stdout, finding->what);
    putchar('\n');
}

/* By the source's name alone, as the finding has it: another's target may be called so too. */
static bool is_about(const struct finding *finding, const struct catalog_table *table)
{
    char *name = ident_display(table->schema, table->name);
    bool about = strcmp(finding->id, WAITS) == 0 && strcmp(finding->object, name) == 0;
    free(name);
    return about;
}

/* The tables that a finding asks about, as far as they are meant (NULL: all). */
static size_t choose(const struct migration *m, const bool *meant, bool *wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < m->findings.count; i++)
        for (size_t source = 0; source < m->source_count; source++)
            if (is_about(&m->findings.items[i], m->chain->sources[source].table) &&
                (meant == NULL || meant[source])) {
                wanted[source] = true;
                count++;
            }
    return count;
}

static void print_accepted(const struct migration *m, const bool *accepted)
{
    for (size_t i = 0; i < m->findings.count; i++)
        for (size_t source = 0; source < m->source_count; source++)
            if (accepted[source] &&
                is_about(&m->findings.items[i], m->chain->sources[source].table))
                print_waiting(&m->findings.items[i]);
}

static bool keep(struct migration *m, const bool *wanted, struct err *err)
{
    if (!accepted_keep(m, wanted, err))
        return false;
    print_accepted(m, wanted);
    return true;
}

/* A run that goes on has nothing to be told: it stops when it has. */
static bool take_lock(struct migration *m, struct err *err)
{
    bool locked = false;
    if (!control_lock(&m->target, m->config->migration, &locked, err))
        return false;
    if (locked)
        return true;
    err_set(err, ERR_CONFIG, "migration \"%s\" is running: nothing waits to be accepted",
            m->config->migration);
    return err_remedy(err, "run this once it has stopped for a table that has changed");
}

static bool accept(struct migration *m, const struct option_tables *named, struct err *err)
{
    bool *wanted = mem_zero(m->source_count + 1, sizeof *wanted);
    bool *meant = mem_zero(m->source_count + 1, sizeof *meant);
    bool ok = choice_mark(m, "--table", named, meant, err) && take_lock(m, err);
    if (ok && choose(m, named->count == 0 ? NULL : meant, wanted) == 0)
        puts("nothing waits to be accepted");
    else if (ok)
        ok = keep(m, wanted, err);
    free(meant);
    free(wanted);
    return ok;
}

static bool refuse_unbound(const struct migration *m, struct err *err)
{
    if (migration_is_fresh(m))
        err_set(err, ERR_CONFIG, "no migration \"%s\" was begun at this target",
                m->config->migration);
    else
        err_set(err, ERR_CONFIG, "the rules do not bind to the tables as they are");
    return err_remedy(err, "see `slackwater check`");
}

int command_accept(const struct invocation *invocation)
{
    struct option_tables meant = {0};
    struct migration m = {0};
    struct err err = {0};
    if (invocation->options->table != NULL)
        meant.names[meant.count++] = invocation->options->table;
    bool ok = migration_open(&m, invocation->config, invocation->stop, &err) &&
              migration_bind(&m, false, &err) &&
              (!migration_is_fresh(&m) && m.chain != NULL ? accept(&m, &meant, &err)
                                                          : refuse_unbound(&m, &err));
    migration_close(&m);
    if (!ok)
        command_complain(&err);
    return ok ? 0 : 2;
}
