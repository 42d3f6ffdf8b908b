/* Prometheus text exposition (format 0.0.4) of a status picture. The metrics are declared once,
 * with type and help, in metrics.def. */
#ifndef OBSERVE_METRICS_H
#define OBSERVE_METRICS_H

#include "base/buf.h"
#include "observe/status.h"

void metrics_render(const struct status *status, struct buf *out);

#endif
