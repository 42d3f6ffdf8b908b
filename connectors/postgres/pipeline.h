/* libpq's pipeline mode as a queue of questions and answers.
 *
 * What is sent is remembered; each answer is handed, in order, to a callback together with the
 * tag it was sent with. Sending never blocks on a full socket without reading: the two sides
 * cannot wait for each other. The first failure is kept with its tag; what follows it up to the
 * sync is void. */
#ifndef POSTGRES_PIPELINE_H
#define POSTGRES_PIPELINE_H

#include "postgres/session.h"

#include <stdint.h>

/* Sees each successful answer. False (err set) makes the pipeline fail. */
typedef bool (*pipeline_answer)(void *context, uint64_t tag, const PGresult *result,
                                struct err *err);

/* Asked when no answer came for PIPELINE_SILENCE: is the server still at work on it? False (err
 * set) gives the connection up. */
typedef bool (*pipeline_silence)(void *context, struct err *err);

#define PIPELINE_SILENCE (12 * USEC_PER_SEC)

struct pipeline {
    struct session *session;
    pipeline_answer answer;
    pipeline_silence silence;
    void *context;
    uint64_t *tags; /* a ring: head..tail are under way */
    size_t capacity;
    size_t head, tail;
    bool sync_pending;
    bool failed;
    uint64_t failed_tag; /* of the first failure */
    struct err err;      /* the first failure */
};

void pipeline_init(struct pipeline *pipeline, pipeline_answer answer, pipeline_silence silence,
                   void *context);
void pipeline_free(struct pipeline *pipeline);

/* Enters pipeline mode on the session, which is idle. */
bool pipeline_begin(struct pipeline *pipeline, struct session *session, struct err *err);

/* To be called after each PQsend...() that returned `sent`. Now and then reads what has come
 * back. False: the connection is lost, or an answer has failed already. */
bool pipeline_sent(struct pipeline *pipeline, int sent, uint64_t tag, struct err *err);

/* Sends a sync, waits for all answers and leaves pipeline mode. False: the first failure is in
 * err and failed_tag; the session's transaction is then aborted, and the session is out of
 * pipeline mode too unless the connection is lost. */
bool pipeline_end(struct pipeline *pipeline, struct err *err);
/* Its two halves: the sync, and the rest. Between them, the server may lack what the socket did not
 * take at once, until it is pushed. */
bool pipeline_sync(struct pipeline *pipeline, struct err *err);
bool pipeline_push(struct pipeline *pipeline, struct err *err);
bool pipeline_finish(struct pipeline *pipeline, struct err *err);

#endif
