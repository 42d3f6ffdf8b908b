/* Readiness gates: is it safe to flip reads? A table of probes over one status picture; every
 * gate has a value, a threshold, a reason and a remedy. A probe that cannot run is UNKNOWN,
 * which blocks like NO-GO. No state: what must hold over time is in the picture
 * (lag.below_since). */
#ifndef OBSERVE_GATES_H
#define OBSERVE_GATES_H

#include "observe/status.h"

/* Fills gates, gate_count and go from the rest of the picture. */
void gates_evaluate(struct status *status);

#endif
