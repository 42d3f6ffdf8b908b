/* Pipeline mode as questions and answers (pipeline.h). */
#include "postgres/pipeline.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define READ_EVERY 64 /* questions between looks at the answers */

void pipeline_init(struct pipeline *pipeline, pipeline_answer answer, pipeline_silence silence,
                   void *context)
{
    *pipeline = (struct pipeline){
        .answer = answer, .silence = silence, .context = context, .capacity = 1024};
    pipeline->tags = mem_alloc(pipeline->capacity * sizeof *pipeline->tags);
}

void pipeline_free(struct pipeline *pipeline)
{
    free(pipeline->tags);
    pipeline->tags = NULL;
}

bool pipeline_begin(struct pipeline *pipeline, struct session *session, struct err *err)
{
    pipeline->session = session;
    pipeline->head = pipeline->tail = 0;
    pipeline->sync_pending = pipeline->failed = false;
    if (PQenterPipelineMode(session->conn))
        return true;
    return session_connection_error(session, err);
}

static void push_tag(struct pipeline *pipeline, uint64_t tag)
{
    if (pipeline->tail == pipeline->capacity && pipeline->head > 0) {
        memmove(pipeline->tags, pipeline->tags + pipeline->head,
                (pipeline->tail - pipeline->head) * sizeof *pipeline->tags);
        pipeline->tail -= pipeline->head;
        pipeline->head = 0;
    }
    if (pipeline->tail == pipeline->capacity) {
        pipeline->capacity *= 2;
        pipeline->tags = mem_grow(pipeline->tags, pipeline->capacity, sizeof *pipeline->tags);
    }
    pipeline->tags[pipeline->tail++] = tag;
}

static void keep_failure(struct pipeline *pipeline, uint64_t tag, const struct err *err)
{
    if (pipeline->failed)
        return;
    pipeline->failed = true;
    pipeline->failed_tag = tag;
    pipeline->err = *err;
}

static void on_result(struct pipeline *pipeline, const PGresult *result)
{
    struct err err = {0};
    uint64_t tag = pipeline->head < pipeline->tail ? pipeline->tags[pipeline->head] : 0;
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        pipeline->sync_pending = false;
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (!pipeline->failed && !pipeline->answer(pipeline->context, tag, result, &err))
            keep_failure(pipeline, tag, &err);
        break;
    default:
        session_result_error(pipeline->session, result, &err);
        keep_failure(pipeline, tag, &err);
        break;
    }
}

static bool expecting(const struct pipeline *pipeline)
{
    return pipeline->head < pipeline->tail || pipeline->sync_pending;
}

/* Waits for more from the server. */
static bool await(struct pipeline *pipeline, bool for_write, struct err *err)
{
    struct session *session = pipeline->session;
    usec_t began = clock_monotonic();
    if (!session_wait(session, for_write, -1, began + PIPELINE_SILENCE, err))
        return false;
    return clock_monotonic() - began < PIPELINE_SILENCE ||
           pipeline->silence(pipeline->context, err);
}

/* Takes the answers that have come; with `all`, waits for the rest. */
static bool take_answers(struct pipeline *pipeline, bool all, struct err *err)
{
    struct session *session = pipeline->session;
    while (expecting(pipeline)) {
        if (PQisBusy(session->conn)) {
            if (!all)
                return true;
            if (!await(pipeline, PQflush(session->conn) == 1, err))
                return false;
            if (!PQconsumeInput(session->conn))
                return session_connection_error(session, err);
            continue;
        }
        PGresult *result = PQgetResult(session->conn);
        if (result == NULL) { /* the end of one question's answers */
            if (PQstatus(session->conn) == CONNECTION_BAD)
                return session_connection_error(session, err);
            pipeline->head += pipeline->head < pipeline->tail;
            continue;
        }
        on_result(pipeline, result);
        PQclear(result);
        if (PQstatus(session->conn) == CONNECTION_BAD)
            return session_connection_error(session, err);
    }
    return true;
}

/* Pushes the output on, reading whenever the server wants to be read. */
static bool exchange(struct pipeline *pipeline, struct err *err)
{
    struct session *session = pipeline->session;
    for (;;) {
        int pending = PQflush(session->conn);
        if (pending < 0 || !PQconsumeInput(session->conn))
            return session_connection_error(session, err);
        if (!take_answers(pipeline, false, err))
            return false;
        if (pending == 0)
            return true;
        if (!await(pipeline, true, err))
            return false;
    }
}

bool pipeline_sent(struct pipeline *pipeline, int sent, uint64_t tag, struct err *err)
{
    if (!sent)
        return session_connection_error(pipeline->session, err);
    push_tag(pipeline, tag);
    if ((pipeline->tail - pipeline->head) % READ_EVERY == 0 && !exchange(pipeline, err))
        return false;
    return true;
}

bool pipeline_sync(struct pipeline *pipeline, struct err *err)
{
    if (!PQpipelineSync(pipeline->session->conn))
        return session_connection_error(pipeline->session, err);
    pipeline->sync_pending = true;
    return true;
}

bool pipeline_push(struct pipeline *pipeline, struct err *err)
{
    return exchange(pipeline, err);
}

bool pipeline_finish(struct pipeline *pipeline, struct err *err)
{
    struct session *session = pipeline->session;
    if (!take_answers(pipeline, true, err))
        return false;
    if (PQexitPipelineMode(session->conn) != 1)
        return session_connection_error(session, err);
    if (pipeline->failed)
        *err = pipeline->err;
    return !pipeline->failed;
}

bool pipeline_end(struct pipeline *pipeline, struct err *err)
{
    return pipeline_sync(pipeline, err) && pipeline_finish(pipeline, err);
}
