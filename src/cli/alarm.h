/* What an operator is to hear of without asking: the slot near its loss, transactions that hold
 * WAL back, a source that is not as it was. Each change is logged once: what has come to be
 * wrong as a warning, that it is over as information.
 *
 * The gates tell the same to who asks; nobody may ask until the cutover. For the monitor's
 * thread. */
#ifndef CLI_ALARM_H
#define CLI_ALARM_H

#include "observe/status.h"

#define ALARMS 4

struct alarms {
    char said[ALARMS][sizeof((struct source_status *)0)->change]; /* "": nothing is wrong */
};

/* Of `status` slot, source, transactions_open and limits are looked at. What is not known now
 * is as it was. */
void alarms_look(struct alarms *alarms, const struct status *status);

#endif
