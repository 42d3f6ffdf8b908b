/* The rules bound anew in mid-run.
 *
 * A table of the stream, or one that is copied, that is not as the rules were bound to it ends the
 * round with ERR_SHAPE: everything before that change is applied, nothing after it. Then both
 * catalogs are read again, the rules are bound to them, and what has changed in between is judged:
 * the next round begins at the same position, or the run stops there (status 3).
 *
 *     a round ends with ERR_SHAPE
 *       -> bound anew; what is new, renamed or of another type fits: the next round
 *       -> the same change once more: it is of before, of a type that its column had then: from
 *          here on all values come as text
 *       -> once more: stops
 *
 * "Once more" is where nothing has moved since: for the stream its position; for the copy its chunks,
 * as the stream may well go on while one chunk fails again and again.
 *
 * So a run that is begun by hand and one that goes on by itself read the same stream alike. */
#ifndef CLI_RESHAPE_H
#define CLI_RESHAPE_H

#include "cli/command.h"
#include "cli/migration.h"

struct run;

/* A part of the run that has ended a round, and how far it was then. */
struct standstill {
    bool begun;
    uint64_t at; /* position of the stream; chunks that are copied */
    int tries;
};

struct reshape {
    struct config *config;  /* the invocation's, with the address that is listened on */
    struct options options; /* the invocation's, of which some hold for the first round only */
    const struct stop *stop;
    bool due;   /* another round */
    bool begun; /* this one is no first round */
    bool as_text;
    struct standstill stream, copy;
    struct err cause;        /* what ended the round before */
    struct migration before; /* as it was bound to then; its sessions are closed */
    char *address;
};

void reshape_init(struct reshape *reshape, const struct invocation *invocation);
void reshape_free(struct reshape *reshape);

/* A round has failed: whether the rules are to be bound anew. Notes what the next round needs. */
bool reshape_is_due(struct reshape *reshape, const struct run *run, const struct err *err);
/* Takes what the round was bound to, to compare with; *migration is empty then. */
void reshape_keep(struct reshape *reshape, struct migration *migration);
/* In a later round, once the rules are bound: false when the run must stop, with all that is to be
 * said in *err. */
bool reshape_accept(struct reshape *reshape, struct migration *migration, struct err *err);
/* In a later round, when a server did not answer: pauses, and true if it is to be tried again. */
bool reshape_waits(struct reshape *reshape, const struct err *err);

#endif
