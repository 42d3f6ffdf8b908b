/* What `slackwater dlq` has done with parked changes: by the run, between its target transactions,
 * where one is running, else by the command itself. A command asks a run through the table
 * slackwater.errand, as `pause` does, so it needs neither address nor token.
 *
 * A run makes letters again for a quarter of a second, then gives the stream as long, so that many
 * hold it up by half at most, and the slot is told all the while. */
#ifndef CLI_ERRANDS_H
#define CLI_ERRANDS_H

#include "postgres/redelivery.h"

#include <jansson.h>
#include <stdatomic.h>

struct errand {
    const char *action;  /* "retry" or "skip" */
    const char *letters; /* bigint[] as text; NULL: all that are parked */
    const char *by;      /* who asks */
};

/* Who does them. */
struct errands { /* borrowed */
    const struct redelivery *redelivery;
    struct letter_store *store; /* and the quarantine: told afterwards; NULL: nobody is */
    struct quarantine *quarantine;
    atomic_bool wait;         /* some may be asked for: set by who looks (the governor) */
    struct errand_work *work; /* one that is begun; own */
    usec_t rests_until;       /* the stream's turn */
};

void errands_free(struct errands *errands);

/* Does one, without a pause. *answer: {"action", "letters": how many are dealt with, "refused": how many
 * are parked as before, "left": how many are parked in all, "errors": [{"letter", "error"}]}. False when
 * it could not be done to its end, and is to be done again. */
bool errand_do(const struct errands *errands, const struct errand *errand, json_t **answer,
               struct err *err);
/* Whether any is asked for. On whatever session: the applying one is not to pay for it. */
bool errands_wait(struct session *session, const char *migration, bool *wait, struct err *err);
/* Does what is asked, if anything may be, or some of it. */
bool errands_look(struct errands *errands, struct err *err);

/* For a command: asks the run that has the migration. *answer NULL: it has ended, or there is
 * none, and the errand is taken back. */
bool errand_ask(struct session *session, const char *migration, const struct errand *errand,
                json_t **answer, struct err *err);

#endif
