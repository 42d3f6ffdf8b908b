/* Errands of dead letters (errands.h). */
#include "cli/errands.h"

#include "base/log.h"
#include "base/mem.h"
#include "postgres/control.h"
#include "postgres/sink.h"

#include <stdlib.h>
#include <string.h>

#define ASK_EVERY (100 * USEC_PER_MS)
#define ERRORS_MOST 20

/* ---- doing ---- */

static const char *migration_of(const struct errands *errands)
{
    return errands->redelivery->config->migration;
}

static PGresult *query(const struct errands *errands, const char *sql, int count,
                       const char *const *values, struct err *err)
{
    return session_query(pg_sink_session(errands->redelivery->sink), sql, count, values, err);
}

struct tally {
    uint64_t done, refused;
    json_t *errors;
};

static void note_error(struct tally *tally, const char *chain, const struct err *why)
{
    if (json_array_size(tally->errors) < ERRORS_MOST)
        json_array_append_new(tally->errors, json_pack("{s:s, s:s}", "letter", chain, "error",
                                                       why->message));
}

/* Chains in their order, those that a letter of the errand is of. A chain may need rows of one
 * that is behind it: so all that were refused are tried again for as long as that helps. */
static bool retry_round(const struct errands *errands, const PGresult *chains, bool *done,
                        struct tally *tally, bool *progress, struct err *err)
{
    *progress = false;
    tally->refused = 0;
    json_array_clear(tally->errors);
    for (int i = 0; i < PQntuples(chains); i++) {
        const char *chain = PQgetvalue(chains, i, 0);
        struct err why = {0};
        uint64_t letters = 0;
        if (done[i])
            continue;
        switch (redelivery_make(errands->redelivery, strtoull(chain, NULL, 10), &letters, &why)) {
        case REDELIVERED:
            done[i] = *progress = true;
            tally->done += letters;
            break;
        case REDELIVERY_REFUSED:
            tally->refused += letters;
            note_error(tally, chain, &why);
            break;
        case REDELIVERY_FAILED:
            *err = why;
            return false;
        }
    }
    return true;
}

static bool retry(const struct errands *errands, const struct errand *errand,
                  struct tally *tally, struct err *err)
{
    PGresult *chains =
        query(errands,
              "SELECT chain FROM slackwater.dead_letter WHERE migration = $1"
              " AND state = 'parked' AND ($2::bigint[] IS NULL OR id = ANY ($2))"
              " GROUP BY chain ORDER BY chain",
              2, (const char *[]){migration_of(errands), errand->letters}, err);
    if (chains == NULL)
        return false;
    bool *done = mem_zero((size_t)PQntuples(chains) + 1, sizeof *done);
    bool progress = true;
    bool ok = true;
    while (ok && progress)
        ok = retry_round(errands, chains, done, tally, &progress, err) &&
             (progress = progress && tally->refused > 0, true);
    free(done);
    PQclear(chains);
    return ok;
}

static bool skip(const struct errands *errands, const struct errand *errand,
                 struct tally *tally, struct err *err)
{
    PGresult *r = query(errands,
                        "UPDATE slackwater.dead_letter SET state = 'skipped', ended_at = now(),"
                        " ended_by = $3 WHERE migration = $1 AND state = 'parked'"
                        " AND ($2::bigint[] IS NULL OR id = ANY ($2))",
                        3,
                        (const char *[]){migration_of(errands), errand->letters, errand->by},
                        err);
    if (r != NULL)
        tally->done = strtoull(PQcmdTuples(r), NULL, 10);
    PQclear(r);
    return r != NULL;
}

static bool count_left(const struct errands *errands, json_int_t *left, struct err *err)
{
    const char *migration = migration_of(errands);
    PGresult *r = query(errands,
                        "SELECT count(*) FROM slackwater.dead_letter"
                        " WHERE migration = $1 AND state = 'parked'",
                        1, &migration, err);
    if (r != NULL)
        *left = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return r != NULL;
}

bool errand_do(const struct errands *errands, const struct errand *errand, json_t **answer,
               struct err *err)
{
    struct tally tally = {.errors = json_array()};
    json_int_t left = 0;
    bool retries = strcmp(errand->action, "retry") == 0;
    bool ok = (retries ? retry : skip)(errands, errand, &tally, err) &&
              count_left(errands, &left, err) &&
              (errands->store == NULL ||
               errands->store->ops->load(errands->store, errands->quarantine, err));
    if (!ok) {
        json_decref(tally.errors);
        return err_wrap(err, "dlq %s", errand->action);
    }
    log_event(LOG_INFO, "dead letters", log_text("action", errand->action),
              log_text("by", errand->by), log_uint("done", tally.done),
              log_uint("refused", tally.refused), log_int("left", left));
    *answer = json_pack("{s:s, s:I, s:I, s:I, s:o}", "action", errand->action, "letters",
                        (json_int_t)tally.done, "refused", (json_int_t)tally.refused, "left",
                        left, "errors", tally.errors);
    return true;
}

static bool answer_errand(const struct errands *errands, const char *id, const json_t *answer,
                          struct err *err)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    PGresult *r = query(errands,
                        "UPDATE slackwater.errand SET answer = $3"
                        " WHERE migration = $1 AND id = $2",
                        3, (const char *[]){migration_of(errands), id, text}, err);
    PQclear(r);
    free(text);
    return r != NULL;
}

static bool do_asked(const struct errands *errands, const PGresult *r, int row, struct err *err)
{
    json_t *answer = NULL;
    const struct errand errand = {
        .action = PQgetvalue(r, row, 1),
        .letters = PQgetisnull(r, row, 2) ? NULL : PQgetvalue(r, row, 2),
        .by = PQgetvalue(r, row, 3),
    };
    bool ok = errand_do(errands, &errand, &answer, err) &&
              answer_errand(errands, PQgetvalue(r, row, 0), answer, err);
    json_decref(answer);
    return ok;
}

bool errands_wait(struct session *session, const char *migration, bool *wait, struct err *err)
{
    PGresult *r = session_query(session,
                                "SELECT EXISTS (SELECT FROM slackwater.errand"
                                " WHERE migration = $1 AND answer IS NULL)",
                                1, &migration, err);
    if (r != NULL)
        *wait = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL || err_wrap(err, "looking for what is asked of dead letters");
}

bool errands_look(struct errands *errands, struct err *err)
{
    const char *migration = migration_of(errands);
    if (!atomic_exchange(&errands->wait, false))
        return true;
    PGresult *r = query(errands,
                        "SELECT id, action, letters, asked_by FROM slackwater.errand"
                        " WHERE migration = $1 AND answer IS NULL ORDER BY id",
                        1, &migration, err);
    bool ok = r != NULL;
    for (int i = 0; ok && i < PQntuples(r); i++)
        ok = do_asked(errands, r, i, err);
    PQclear(r);
    return ok;
}

/* ---- asking ---- */

static bool record(struct session *session, const char *migration, const struct errand *errand,
                   char **id, struct err *err)
{
    PGresult *r = session_query(session,
                                "INSERT INTO slackwater.errand (migration, action, letters,"
                                " asked_by) VALUES ($1, $2, $3, $4) RETURNING id",
                                4,
                                (const char *[]){migration, errand->action, errand->letters,
                                                 errand->by},
                                err);
    if (r != NULL)
        *id = mem_string(PQgetvalue(r, 0, 0));
    PQclear(r);
    return r != NULL;
}

/* Gone with its answer, or because nobody will give one. */
static bool take_back(struct session *session, const char *migration, const char *id,
                      json_t **answer, struct err *err)
{
    PGresult *r = session_query(session,
                                "DELETE FROM slackwater.errand WHERE migration = $1 AND id = $2"
                                " RETURNING answer",
                                2, (const char *[]){migration, id}, err);
    if (r != NULL && PQntuples(r) == 1 && !PQgetisnull(r, 0, 0))
        *answer = json_loads(PQgetvalue(r, 0, 0), 0, NULL);
    PQclear(r);
    return r != NULL;
}

static bool is_answered(struct session *session, const char *migration, const char *id,
                        bool *answered, struct err *err)
{
    PGresult *r = session_query(session,
                                "SELECT FROM slackwater.errand"
                                " WHERE migration = $1 AND id = $2 AND answer IS NULL",
                                2, (const char *[]){migration, id}, err);
    if (r != NULL)
        *answered = PQntuples(r) == 0;
    PQclear(r);
    return r != NULL;
}

/* The migration's lock is free: the run is gone. */
static bool run_is_gone(struct session *session, const char *migration, bool *gone,
                        struct err *err)
{
    if (!control_lock(session, migration, gone, err))
        return false;
    return !*gone || session_run(session, "SELECT pg_advisory_unlock_all()", err);
}

static bool await_answer(struct session *session, const char *migration, const char *id,
                         struct err *err)
{
    for (bool over = false;;) {
        if (!is_answered(session, migration, id, &over, err) ||
            (!over && !run_is_gone(session, migration, &over, err)))
            return false;
        if (over)
            return true;
        if (stop_wait(session->stop, clock_monotonic() + ASK_EVERY))
            return err_set(err, ERR_STOPPED,
                           "stopped while the run had not answered; what was asked is taken back "
                           "unless it has begun");
    }
}

bool errand_ask(struct session *session, const char *migration, const struct errand *errand,
                json_t **answer, struct err *err)
{
    bool gone = false;
    char *id = NULL;
    *answer = NULL;
    if (!run_is_gone(session, migration, &gone, err))
        return false;
    if (gone)
        return true;
    if (!record(session, migration, errand, &id, err))
        return err_wrap(err, "asking the run");
    struct err waiting = {0};
    bool waited = await_answer(session, migration, id, &waiting);
    bool ok = take_back(session, migration, id, answer, err); /* also within a stop's grace */
    free(id);
    if (!waited)
        *err = waiting;
    return ok && waited;
}
