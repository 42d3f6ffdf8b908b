/* Findings in the order of their statements (script.h). */
#include "schema/script.h"

#include "base/mem.h"

#include <string.h>

/* An id that is not in the table of kinds: by its name, and early, where it destroys nothing.
 */
static struct script_step step_of(const struct finding *finding)
{
    const struct finding_kind *kind = finding_kind(finding->id);
    bool source = strncmp(finding->id, "source.", 7) == 0;
    return (struct script_step){.finding = finding,
                                .phase = kind ? kind->phase : PHASE_SETTINGS,
                                .side = kind     ? kind->side
                                        : source ? SCRIPT_SOURCE
                                                 : SCRIPT_TARGET};
}

struct script_step *script_steps(const struct findings *findings, size_t *count)
{
    struct script_step *steps = mem_zero(findings->count + 1, sizeof *steps);
    *count = 0;
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        for (size_t i = 0; i < findings->count; i++) {
            struct script_step step = step_of(&findings->items[i]);
            if (step.finding->sql[0] && (int)step.phase == phase)
                steps[(*count)++] = step;
        }
    return steps;
}
