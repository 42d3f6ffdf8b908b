/* Failpoints: named places where a test has the program die, fail or be slow.
 *
 *     return failpoint(SINK_BEGUN, err) && send_changes(...);
 *
 * They are listed in failpoints.def, and compiled only with SLACKWATER_FAILPOINTS (the builds
 * for debugging and with sanitizers): in a release failpoint() is `true` and nothing of them is
 * in the binary. They are switched on by the environment, SLACKWATER_FAILPOINTS, which is a
 * list
 *
 *     name=action[@when],...   seed=N
 *
 *     action  kill               SIGKILL to itself
 *             error              the function fails, by the class of failpoints.def
 *             error(40001)       the same, with an SQLSTATE
 *             delay(200ms)       waits
 *     when    3                  at the third passage, once (left out: at each)
 *             every3             at each third one
 *             10%                at a share of them, drawn by the seed
 *
 * Each hit is a line in the log, event "failpoint". Safe from any thread once set up. */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include "base/err.h"

#ifdef SLACKWATER_FAILPOINTS

enum failpoint {
#define FAILPOINT(name, text, class, edge) FAILPOINT_##name,
#include "base/failpoints.def"
#undef FAILPOINT
    FAILPOINTS
};

/* By the environment, before there are threads. ERR_CONFIG if it makes no sense. */
bool failpoint_setup(struct err *err);
/* The same, by a text; what was set before is forgotten. */
bool failpoint_parse(const char *text, struct err *err);
/* True to go on. `err` may be NULL where the point's class is ERR_NONE. */
bool failpoint_pass(enum failpoint point, struct err *err);

#define failpoint(name, err) failpoint_pass(FAILPOINT_##name, (err))

#else

static inline bool failpoint_absent(struct err *err)
{
    (void)err;
    return true;
}

#define failpoint_setup(err) failpoint_absent(err)
#define failpoint(name, err) failpoint_absent(err)

#endif
#endif
