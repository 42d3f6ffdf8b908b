/* Alarms (alarm.h). */
#include "cli/alarm.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* Each says what is wrong, "" if nothing is, NULL if that is not known. The same trouble has
 * the same text, whatever its numbers. */

static const char *slot_trouble(const struct status *status)
{
    const struct slot_status *slot = &status->slot;
    if (!slot->known)
        return NULL;
    return strcmp(slot->wal_status, "reserved") == 0 ? "" : slot->wal_status;
}

static const char *open_trouble(const struct status *status)
{
    const struct transactions_status *open = &status->transactions_open;
    if (!open->known)
        return NULL;
    return open->open_longer_than_threshold == 0 ? ""
                                                 : "open for longer than "
                                                   "readiness.max_transaction";
}

static const char *prepared_trouble(const struct status *status)
{
    const struct transactions_status *open = &status->transactions_open;
    if (!open->known)
        return NULL;
    bool late = open->prepared > 0 && open->oldest_prepared > status->limits.max_transaction;
    return late ? "prepared for longer than readiness.max_transaction" : "";
}

static const char *source_trouble(const struct status *status)
{
    return status->source.known ? status->source.change : NULL;
}

static const struct {
    const char *event, *over, *remedy;
    const char *(*trouble)(const struct status *status);
} KINDS[ALARMS] = {
    {"the slot keeps more WAL than the source reserves for it",
     "the slot's WAL is reserved again",
     "raise max_slot_wal_keep_size, or let the stream catch up", slot_trouble},
    {"transactions at the source hold back the slot's WAL",
     "no transaction holds back the slot's WAL any more",
     "end them: SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start",
     open_trouble},
    {"prepared transactions at the source hold back the slot's WAL",
     "no prepared transaction holds back the slot's WAL any more",
     "COMMIT PREPARED or ROLLBACK PREPARED: SELECT gid FROM pg_prepared_xacts",
     prepared_trouble},
    {"the source is not as the migration began with it", "the source is as it was",
     "changes may be missing: clean up, empty the target tables, begin again", source_trouble},
};

void alarms_look(struct alarms *alarms, const struct status *status)
{
    for (size_t i = 0; i < ALARMS; i++) {
        const char *trouble = KINDS[i].trouble(status);
        if (trouble == NULL || strcmp(trouble, alarms->said[i]) == 0)
            continue;
        snprintf(alarms->said[i], sizeof alarms->said[i], "%s", trouble);
        if (trouble[0] != '\0')
            log_event(LOG_WARN, KINDS[i].event, log_text("what", trouble),
                      log_text("remedy", KINDS[i].remedy));
        else
            log_event(LOG_INFO, KINDS[i].over);
    }
}
