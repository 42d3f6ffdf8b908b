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
#define TURN (250 * USEC_PER_MS)

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

/* An errand that is begun. */
struct errand_work {
    char *id, *action, *letters, *by; /* letters NULL: all */
    PGresult *chains; /* of a retry: those that its letters are of, in their order */
    bool *done;       /* by chain */
    int next;
    bool progress; /* some were made in this round */
    uint64_t dealt, refused;
    json_t *errors;
};

static void work_free(struct errand_work *work)
{
    if (work == NULL)
        return;
    PQclear(work->chains);
    json_decref(work->errors);
    free(work->done);
    free(work->id);
    free(work->action);
    free(work->letters);
    free(work->by);
    free(work);
}

void errands_free(struct errands *errands)
{
    work_free(errands->work);
    errands->work = NULL;
}

static bool is_retry(const struct errand_work *work)
{
    return strcmp(work->action, "retry") == 0;
}

static bool find_chains(const struct errands *errands, struct errand_work *work,
                        struct err *err)
{
    work->chains = query(errands,
                         "SELECT chain FROM slackwater.dead_letter WHERE migration = $1"
                         " AND state = 'parked' AND ($2::bigint[] IS NULL OR id = ANY ($2))"
                         " GROUP BY chain ORDER BY chain",
                         2, (const char *[]){migration_of(errands), work->letters}, err);
    if (work->chains != NULL)
        work->done = mem_zero((size_t)PQntuples(work->chains) + 1, sizeof *work->done);
    return work->chains != NULL;
}

/* NULL: an error. */
static struct errand_work *begin_work(const struct errands *errands, const char *id,
                                      const struct errand *errand, struct err *err)
{
    struct errand_work *work = mem_zero(1, sizeof *work);
    work->id = id == NULL ? NULL : mem_string(id);
    work->action = mem_string(errand->action);
    work->letters = errand->letters == NULL ? NULL : mem_string(errand->letters);
    work->by = mem_string(errand->by);
    work->errors = json_array();
    if (!is_retry(work) || find_chains(errands, work, err))
        return work;
    work_free(work);
    return NULL;
}

static void note_refused(struct errand_work *work, const char *chain, uint64_t letters,
                         const struct err *why)
{
    work->refused += letters;
    if (json_array_size(work->errors) < ERRORS_MOST)
        json_array_append_new(work->errors,
                              json_pack("{s:s, s:s}", "letter", chain, "error", why->message));
}

static bool retry_chain(const struct errands *errands, struct errand_work *work, int index,
                        struct err *err)
{
    const char *chain = PQgetvalue(work->chains, index, 0);
    struct err why = {0};
    uint64_t letters = 0;
    switch (redelivery_make(errands->redelivery, strtoull(chain, NULL, 10), &letters, &why)) {
    case REDELIVERED:
        work->done[index] = work->progress = true;
        work->dealt += letters;
        return true;
    case REDELIVERY_REFUSED:
        note_refused(work, chain, letters, &why);
        return true;
    case REDELIVERY_FAILED:
        break;
    }
    *err = why;
    return false;
}

/* A chain may need rows of one that is behind it: so all that were refused are tried again for as long
 * as that helps. */
static bool begin_round(struct errand_work *work)
{
    if (!work->progress || work->refused == 0)
        return false;
    work->next = 0;
    work->progress = false;
    work->refused = 0;
    json_array_clear(work->errors);
    return true;
}

static bool retry(const struct errands *errands, struct errand_work *work, usec_t until,
                  bool *over, struct err *err)
{
    do {
        for (; work->next < PQntuples(work->chains); work->next++) {
            if (clock_monotonic() >= until)
                return true;
            if (!work->done[work->next] && !retry_chain(errands, work, work->next, err))
                return false;
        }
    } while (begin_round(work));
    *over = true;
    return true;
}

static bool skip(const struct errands *errands, struct errand_work *work, struct err *err)
{
    PGresult *r =
        query(errands,
              "UPDATE slackwater.dead_letter SET state = 'skipped', ended_at = now(),"
              " ended_by = $3 WHERE migration = $1 AND state = 'parked'"
              " AND ($2::bigint[] IS NULL OR id = ANY ($2))",
              3, (const char *[]){migration_of(errands), work->letters, work->by}, err);
    if (r != NULL)
        work->dealt = strtoull(PQcmdTuples(r), NULL, 10);
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

/* Up to a time, and what has become of it. The stream's next change is judged by that. */
static bool work_on(const struct errands *errands, struct errand_work *work, usec_t until,
                    bool *over, struct err *err)
{
    *over = !is_retry(work);
    return ((*over ? skip(errands, work, err) : retry(errands, work, until, over, err)) &&
            (errands->store == NULL ||
             errands->store->ops->load(errands->store, errands->quarantine, err))) ||
           err_wrap(err, "dlq %s", work->action);
}

static bool sum_up(const struct errands *errands, const struct errand_work *work,
                   json_t **answer, struct err *err)
{
    json_int_t left = 0;
    if (!count_left(errands, &left, err))
        return err_wrap(err, "dlq %s", work->action);
    log_event(LOG_INFO, "dead letters", log_text("action", work->action),
              log_text("by", work->by), log_uint("done", work->dealt),
              log_uint("refused", work->refused), log_int("left", left));
    *answer = json_pack("{s:s, s:I, s:I, s:I, s:O}", "action", work->action, "letters",
                        (json_int_t)work->dealt, "refused", (json_int_t)work->refused, "left",
                        left, "errors", work->errors);
    return true;
}

bool errand_do(const struct errands *errands, const struct errand *errand, json_t **answer,
               struct err *err)
{
    bool over = false;
    struct errand_work *work = begin_work(errands, NULL, errand, err);
    bool ok = work != NULL && work_on(errands, work, INT64_MAX, &over, err) &&
              sum_up(errands, work, answer, err);
    work_free(work);
    return ok;
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

static bool take_next(struct errands *errands, struct err *err)
{
    const char *migration = migration_of(errands);
    PGresult *r = query(errands,
                        "SELECT id, action, letters, asked_by FROM slackwater.errand"
                        " WHERE migration = $1 AND answer IS NULL ORDER BY id LIMIT 1",
                        1, &migration, err);
    bool ok = r != NULL;
    if (ok && PQntuples(r) > 0) {
        const struct errand errand = {
            .action = PQgetvalue(r, 0, 1),
            .letters = PQgetisnull(r, 0, 2) ? NULL : PQgetvalue(r, 0, 2),
            .by = PQgetvalue(r, 0, 3),
        };
        errands->work = begin_work(errands, PQgetvalue(r, 0, 0), &errand, err);
        ok = errands->work != NULL;
    }
    PQclear(r);
    return ok;
}

static bool finish(struct errands *errands, struct err *err)
{
    json_t *answer = NULL;
    bool ok = sum_up(errands, errands->work, &answer, err) &&
              answer_errand(errands, errands->work->id, answer, err);
    json_decref(answer);
    errands_free(errands);
    atomic_store(&errands->wait, true); /* there may be another */
    return ok;
}

static bool do_some(struct errands *errands, struct err *err)
{
    usec_t began = clock_monotonic();
    bool over = false;
    if (!work_on(errands, errands->work, began + TURN, &over, err)) {
        errands_free(errands); /* it is still asked for */
        return false;
    }
    errands->rests_until = clock_monotonic() + (clock_monotonic() - began);
    return !over || finish(errands, err);
}

bool errands_look(struct errands *errands, struct err *err)
{
    if (errands->work == NULL && atomic_exchange(&errands->wait, false) &&
        !take_next(errands, err))
        return false;
    return errands->work == NULL || clock_monotonic() < errands->rests_until ||
           do_some(errands, err);
}

/* ---- asking ---- */

static bool record(struct session *session, const char *migration, const struct errand *errand,
                   char **id, struct err *err)
{
    PGresult *r = session_query(
        session,
        "INSERT INTO slackwater.errand (migration, action, letters,"
        " asked_by) VALUES ($1, $2, $3, $4) RETURNING id",
        4, (const char *[]){migration, errand->action, errand->letters, errand->by}, err);
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
            return err_set(
                err, ERR_STOPPED,
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
