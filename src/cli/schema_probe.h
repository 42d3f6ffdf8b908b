/* The monitor's look at both schemas, now and then: are they as the rules were bound to them? With a
 * session of its own at the target. On the monitor's thread, but schema_probe_fill(). */
#ifndef CLI_SCHEMA_PROBE_H
#define CLI_SCHEMA_PROBE_H

#include "cli/migration.h"
#include "observe/status.h"

struct schema_probe;

struct schema_probe *schema_probe_create(const struct config *config,
                                         const struct migration *migration,
                                         const struct stop *stop);
/* When it is time. What cannot be asked at the target is a reading too; false when the source did
 * not answer. */
bool schema_probe_look(struct schema_probe *probe, struct session *source, usec_t now,
                       struct err *err);
void schema_probe_fill(struct schema_probe *probe, struct status *status);
void schema_probe_destroy(struct schema_probe *probe);

#endif
