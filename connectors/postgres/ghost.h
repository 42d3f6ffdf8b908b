/* A ghost: our own server process, left behind by a connection that is lost on our side only.
 *
 * When a network swallows packets, the server does not learn for minutes that nobody is there;
 * meanwhile the old process holds the slot, the origin or the migration's lock against us. So a
 * connection remembers its server process, and its successor ends it. Only a process that is
 * surely ours is touched: same pid and same start. A role may end its own processes. */
#ifndef POSTGRES_GHOST_H
#define POSTGRES_GHOST_H

#include "postgres/session.h"

struct ghost {
    int pid; /* 0: none */
    char started[48];
    char done[128]; /* how far it was when it was last looked at; "": it was not */
};

/* Remembers the session's server process. */
bool ghost_note(struct session *session, struct ghost *ghost, struct err *err);
/* Ends it, from another session, if it still lives. None is accepted. */
bool ghost_evict(struct session *session, const struct ghost *ghost, struct err *err);
/* Ends it and waits until it is gone, and with it its transaction, whichever way that ended.
 * ERR_RETRY when it does not go. */
bool ghost_end(struct session *session, const struct ghost *ghost, struct err *err);
/* False in *working when it is gone, or waits for a word from us and is where it was at the look
 * before: who waits for its answer waits in vain. So nobody is given up at the first look, for over
 * a slow line a process waits for us all the time, and yet gets on. */
bool ghost_is_working(struct session *session, struct ghost *ghost, bool *working,
                      struct err *err);

#endif
