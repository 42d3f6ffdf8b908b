/* slackwater dlq: dead letters as the target keeps them, listed, shown, made again or given up.
 *
 * What changes something is done by the run that has the migration, between two of its target
 * transactions; where there is none, by this process under the migration's lock. */
#include "base/mem.h"
#include "base/plain.h"
#include "cli/command.h"
#include "cli/enum_labels.h"
#include "cli/errands.h"
#include "cli/letter_facts.h"
#include "postgres/control.h"
#include "postgres/row_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key as people see it, and as --key names it: id=5,tenant=3 */
#define KEY_SQL                                                                                \
    "(SELECT string_agg(e.key || '=' || coalesce(e.value, 'NULL'), ',') FROM"                  \
    " jsonb_each_text(l.key) e)"
/* As people write a table's name, or as it is kept. */
#define SELECTED_SQL                                                                           \
    " FROM slackwater.dead_letter l WHERE migration = $1"                                      \
    " AND ($2::text IS NULL OR source = $2 OR replace(source, '\"', '') = $2)"                 \
    " AND ($3::text IS NULL OR " KEY_SQL " = $3)"                                              \
    " AND ($4::bigint[] IS NULL OR id = ANY ($4))"

static const char USAGE[] =
    "dlq list [--table T] [--json] | dlq show ID | dlq retry ID...|--key "
    "K|--all | dlq skip ID...|--key K|--all";

/* ---- which letters ---- */

static bool append_ids(const struct options *options, struct buf *ids, struct err *err)
{
    for (size_t i = 1; i < options->word_count; i++) {
        const char *word = options->words[i];
        if (word[0] == '\0' || strlen(word) > 18 || strspn(word, "0123456789") != strlen(word))
            return err_set(err, ERR_CONFIG, "dlq %s: \"%s\" is no letter's number",
                           options->words[0], word);
        buf_append_format(ids, "%c%s", i == 1 ? '{' : ',', word);
    }
    if (options->word_count > 1)
        buf_append_char(ids, '}');
    return true;
}

/* What the command line selects, in the columns of `what`, by `rest` of a query. */
static PGresult *select_letters(const struct invocation *invocation, struct session *session,
                                const char *what, const char *rest, struct err *err)
{
    const struct options *options = invocation->options;
    struct buf sql = {0};
    struct buf ids = {0};
    PGresult *r = NULL;
    buf_append_format(&sql, "SELECT %s" SELECTED_SQL "%s", what, rest);
    if (append_ids(options, &ids, err)) {
        const char *values[] = {invocation->config->migration, options->table, options->key,
                                ids.size == 0 ? NULL : buf_text(&ids)};
        r = session_query(session, buf_text(&sql), 4, values, err);
    }
    buf_free(&sql);
    buf_free(&ids);
    return r;
}

static void print_text(const char *text)
{
    plain_print(stdout, text);
}

/* ---- list and show ---- */

/* The parked ones, and how many were dealt with. */
static int list(const struct invocation *invocation, struct session *session, struct err *err)
{
    static const char WHAT[] =
        "id, source, operation, " KEY_SQL ", coalesce(lsn::text, '-'),"
        " to_char(first_seen, 'YYYY-MM-DD HH24:MI:SS'), coalesce(message, 'waits behind ' || chain)";
    PGresult *r =
        select_letters(invocation, session, WHAT, " AND state = 'parked' ORDER BY id", err);
    if (r == NULL)
        return 2;
    for (int i = 0; i < PQntuples(r); i++) {
        for (int column = 0; column < PQnfields(r); column++) {
            if (column > 0)
                fputs("  ", stdout);
            print_text(PQgetvalue(r, i, column));
        }
        putchar('\n');
    }
    printf("%d parked\n", PQntuples(r));
    PQclear(r);
    return 0;
}

static int print_json(const struct invocation *invocation, struct session *session,
                      const char *rest, struct err *err)
{
    PGresult *r = select_letters(
        invocation, session,
        "coalesce(jsonb_pretty(jsonb_agg(to_jsonb(l) - 'migration' ORDER BY id)), '[]')", rest,
        err);
    if (r == NULL)
        return 2;
    puts(PQgetvalue(r, 0, 0));
    PQclear(r);
    return 0;
}

/* What the label of an enum needs, of the first letter that lacks one. */
static void show_advice(const struct invocation *invocation, const PGresult *r)
{
    struct err why = {0};
    struct err ignored = {0};
    struct migration m = {0};
    for (int i = 0; i < PQntuples(r) && !enum_labels_may_lack(&why); i++) {
        err_set(&why, ERR_DATA, "%s", PQgetvalue(r, i, PQfnumber(r, "message")));
        snprintf(why.sqlstate, sizeof why.sqlstate, "%s",
                 PQgetvalue(r, i, PQfnumber(r, "sqlstate")));
    }
    if (!enum_labels_may_lack(&why))
        return;
    if (migration_open(&m, invocation->config, invocation->stop, &ignored) &&
        migration_bind(&m, false, &ignored) && m.chain != NULL)
        enum_labels_advise(&m, &why);
    migration_close(&m);
    if (why.remedy[0] != '\0')
        printf("\n%s\n", why.remedy);
}

/* All that is known of them, values too: it is asked for by number. */
static int show(const struct invocation *invocation, struct session *session, struct err *err)
{
    PGresult *r = select_letters(
        invocation, session,
        "id, chain, state, source, operation, key, new_key, old_row, new_row, not_sent, lsn, xid,"
        " commit_at, class, sqlstate, message, column_name, first_seen, tries, tried_at, ended_at,"
        " ended_by",
        " ORDER BY id", err);
    if (r == NULL)
        return 2;
    for (int i = 0; i < PQntuples(r); i++)
        for (int column = 0; column < PQnfields(r); column++) {
            if (PQgetisnull(r, i, column))
                continue;
            printf("%s%-12s ", column == 0 && i > 0 ? "\n" : "", PQfname(r, column));
            print_text(PQgetvalue(r, i, column));
            putchar('\n');
        }
    bool found = PQntuples(r) > 0;
    show_advice(invocation, r);
    PQclear(r);
    if (!found)
        err_set(err, ERR_CONFIG, "there is no such letter (see slackwater dlq list)");
    return found ? 0 : 2;
}

/* ---- retry and skip ---- */

/* What this process needs to do them itself. */
struct standing_in {
    struct migration migration;
    struct letter_facts facts;
    struct lookup_maker lookups;
    struct row_reader *reader;
    struct sink *sink;
    struct table_counters *counters;
    struct apply_counters apply;
};

static struct transform *make_transform(void *context)
{
    struct standing_in *in = context;
    struct transform *transform = chain_transform_asking(in->migration.chain, &in->lookups);
    transform->row_reader = in->reader;
    return transform;
}

static bool refuse_rules(const struct standing_in *in, struct err *err)
{
    const struct finding *worst = NULL;
    for (size_t i = 0; i < in->migration.findings.count; i++)
        if (in->migration.findings.items[i].severity == SEVERITY_BREAKING)
            worst = &in->migration.findings.items[i];
    err_set(err, ERR_CONFIG, "%s: %s", worst == NULL ? "rules" : worst->object,
            worst == NULL ? "they do not bind" : worst->what);
    return err_remedy(err, "see `slackwater check`");
}

static bool stand_in(const struct invocation *invocation, struct standing_in *in,
                     struct err *err)
{
    struct migration *m = &in->migration;
    if (!migration_open(m, invocation->config, invocation->stop, err) ||
        !migration_bind(m, false, err))
        return false;
    if (m->chain == NULL)
        return refuse_rules(in, err);
    letter_facts_make(m, &in->facts);
    in->counters = mem_zero(m->source_count + 1, sizeof *in->counters);
    in->lookups = migration_lookups(m);
    in->reader =
        pg_row_reader_create(invocation->config->source_dsn, m->source_catalog, m->stop);
    struct pg_sink_config sink = migration_sink_config(m);
    sink.counters = in->counters;
    sink.apply = &in->apply;
    sink.engine = ENGINE_ORDERED;
    sink.letters = &in->facts.config;
    in->sink = pg_sink_create(&sink);
    return in->sink->ops->connect(in->sink, err);
}

static void leave(struct standing_in *in)
{
    if (in->sink != NULL)
        in->sink->ops->destroy(in->sink);
    if (in->reader != NULL)
        in->reader->ops->destroy(in->reader);
    letter_facts_free(&in->facts);
    free(in->counters);
    migration_close(&in->migration);
}

static bool do_it_here(const struct invocation *invocation, const struct errand *errand,
                       json_t **answer, struct err *err)
{
    struct standing_in in = {0};
    bool ok = stand_in(invocation, &in, err);
    if (ok) {
        const struct redelivery redelivery = {.config = &in.facts.config,
                                              .sink = in.sink,
                                              .make_transform = make_transform,
                                              .context = &in};
        ok = errand_do(&(struct errands){.redelivery = &redelivery}, errand, answer, err);
    }
    leave(&in);
    return ok;
}

static void print_answer(const json_t *answer)
{
    size_t i;
    json_t *error;
    json_int_t refused = json_integer_value(json_object_get(answer, "refused"));
    bool retried = strcmp(json_string_value(json_object_get(answer, "action")), "retry") == 0;
    printf("%" JSON_INTEGER_FORMAT " %s",
           json_integer_value(json_object_get(answer, "letters")),
           retried ? "applied" : "skipped");
    if (refused > 0)
        printf(", %" JSON_INTEGER_FORMAT " still refused", refused);
    printf(", %" JSON_INTEGER_FORMAT " parked in all\n",
           json_integer_value(json_object_get(answer, "left")));
    json_array_foreach(json_object_get(answer, "errors"), i, error)
    {
        printf("  %s: ", json_string_value(json_object_get(error, "letter")));
        print_text(json_string_value(json_object_get(error, "error")));
        putchar('\n');
    }
}

static int conclude(const struct invocation *invocation, const json_t *answer)
{
    char *text = invocation->options->json ? json_dumps(answer, JSON_INDENT(2)) : NULL;
    if (text != NULL)
        puts(text);
    else
        print_answer(answer);
    free(text);
    return json_integer_value(json_object_get(answer, "refused")) > 0 ? 1 : 0;
}

/* The letters by number, so that what comes meanwhile is not meant. NULL: an error, or none. */
static char *choose(const struct invocation *invocation, struct session *session,
                    struct err *err)
{
    const struct options *options = invocation->options;
    if (options->word_count < 2 && options->key == NULL && !options->all) {
        err_set(err, ERR_CONFIG, "dlq %s: which ones? Give numbers, --key K or --all",
                options->words[0]);
        return NULL;
    }
    PGresult *r =
        select_letters(invocation, session, "array_agg(id)", " AND state = 'parked'", err);
    char *ids = r == NULL || PQgetisnull(r, 0, 0) ? NULL : mem_string(PQgetvalue(r, 0, 0));
    if (r != NULL && ids == NULL && !options->all)
        err_set(err, ERR_CONFIG, "no such letter is parked (see slackwater dlq list)");
    PQclear(r);
    return ids;
}

/* Who it is, for the record. */
static char *describe_user(const struct session *session)
{
    const char *login = getenv("USER");
    return mem_format("%s%s%s", PQuser(session->conn), login == NULL ? "" : ", ",
                      login == NULL ? "" : login);
}

static int change(const struct invocation *invocation, struct session *session, struct err *err)
{
    json_t *answer = NULL;
    char *ids = choose(invocation, session, err);
    if (ids == NULL && err->class == ERR_NONE) {
        puts("nothing is parked");
        return 0;
    }
    if (ids == NULL)
        return 2;
    char *by = describe_user(session);
    const struct errand errand = {
        .action = invocation->options->words[0], .letters = ids, .by = by};
    int status = 2;
    if (errand_ask(session, invocation->config->migration, &errand, &answer, err) &&
        (answer != NULL || do_it_here(invocation, &errand, &answer, err)))
        status = conclude(invocation, answer);
    json_decref(answer);
    free(by);
    free(ids);
    return status;
}

/* ---- the command ---- */

static int list_either(const struct invocation *invocation, struct session *session,
                       struct err *err)
{
    return invocation->options->json
               ? print_json(invocation, session, " AND state = 'parked'", err)
               : list(invocation, session, err);
}

static int show_either(const struct invocation *invocation, struct session *session,
                       struct err *err)
{
    if (invocation->options->word_count < 2) {
        err_set(err, ERR_CONFIG, "dlq show: which one? Give its number");
        return 2;
    }
    return invocation->options->json ? print_json(invocation, session, "", err)
                                     : show(invocation, session, err);
}

static const struct {
    const char *name;
    int (*run)(const struct invocation *invocation, struct session *session, struct err *err);
} ACTIONS[] = {
    {"list", list_either},
    {"show", show_either},
    {"retry", change},
    {"skip", change},
};

static bool begun(const struct invocation *invocation, struct session *session, struct err *err)
{
    struct control_migration found = {.state = CONTROL_NONE};
    if (!control_load(session, invocation->config->migration, &found, err))
        return false;
    bool any = found.state != CONTROL_NONE;
    control_migration_free(&found);
    if (any)
        return dead_letters_install(session, err);
    err_set(err, ERR_CONFIG, "no migration \"%s\" was begun at this target",
            invocation->config->migration);
    return err_remedy(err, "begin it with `slackwater run`, or name the right file and target");
}

int command_dlq(const struct invocation *invocation)
{
    const struct options *options = invocation->options;
    struct session session = {0};
    struct err err = {0};
    int status = 2;
    size_t action = 0;
    const char *name = options->word_count == 0 ? "" : options->words[0];
    while (action < sizeof ACTIONS / sizeof ACTIONS[0] &&
           strcmp(ACTIONS[action].name, name) != 0)
        action++;
    if (action == sizeof ACTIONS / sizeof ACTIONS[0])
        err_set(&err, ERR_CONFIG, "expected %s", USAGE);
    else if (config_need_target(invocation->config, &err) &&
             session_open(&session, "target", invocation->config->target_dsn, SESSION_SQL,
                          invocation->stop, &err) &&
             begun(invocation, &session, &err))
        status = ACTIONS[action].run(invocation, &session, &err);
    session_close(&session);
    if (err.class != ERR_NONE)
        command_complain(&err);
    return status;
}
