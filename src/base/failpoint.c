/* Failpoints (failpoint.h).
 *
 * The plans are written once, before there are threads, and only their counters change after
 * that. A share is drawn from the seed, the point and the number of the passage, so that the
 * same seed has the same passages hit whatever threads there are. */
#include "base/failpoint.h"

#ifdef SLACKWATER_FAILPOINTS

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_SIZE 128

enum action { ACTION_NONE, ACTION_KILL, ACTION_ERROR, ACTION_DELAY };
static const char *const ACTIONS[] = {[ACTION_NONE] = "",
                                      [ACTION_KILL] = "kill",
                                      [ACTION_ERROR] = "error",
                                      [ACTION_DELAY] = "delay"};

enum when { ALWAYS, ONCE, EVERY, SHARE };

struct plan {
    enum action action;
    usec_t delay;
    char sqlstate[6];
    enum when when;
    uint64_t number; /* of the passage, of passages, or percent */
    atomic_ullong passages;
};

static const struct {
    const char *name;
    enum err_class class;
} POINTS[] = {
#define FAILPOINT(name, text, class, edge) [FAILPOINT_##name] = {text, class},
#include "base/failpoints.def"
#undef FAILPOINT
};

static struct plan plans[FAILPOINTS];
static uint64_t seed;

/* ---- the list ---- */

static bool bad_entry(const char *entry, const char *expected, struct err *err)
{
    return err_set(err, ERR_CONFIG, "SLACKWATER_FAILPOINTS: \"%s\": expected %s", entry,
                   expected);
}

static bool parse_number(const char *text, const char *rest, uint64_t *number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    *number = strtoull(text, &end, 10);
    return strcmp(end, rest) == 0;
}

static bool parse_when(const char *text, struct plan *plan)
{
    if (strncmp(text, "every", 5) == 0)
        plan->when = EVERY;
    else
        plan->when = strchr(text, '%') != NULL ? SHARE : ONCE;
    return parse_number(plan->when == EVERY ? text + 5 : text, plan->when == SHARE ? "%" : "",
                        &plan->number) &&
           plan->number > 0;
}

/* "(...)" behind an action, which is cut off; NULL if there is none. */
static char *cut_argument(char *text)
{
    char *open = strchr(text, '(');
    size_t size = strlen(text);
    if (open == NULL || text[size - 1] != ')')
        return NULL;
    text[size - 1] = '\0';
    *open = '\0';
    return open + 1;
}

static bool parse_action(char *text, struct plan *plan)
{
    char *argument = cut_argument(text);
    for (enum action action = ACTION_KILL; action <= ACTION_DELAY; action++)
        if (strcmp(text, ACTIONS[action]) == 0)
            plan->action = action;
    switch (plan->action) {
    case ACTION_NONE:
        return false;
    case ACTION_KILL:
        return argument == NULL;
    case ACTION_ERROR:
        if (argument != NULL)
            snprintf(plan->sqlstate, sizeof plan->sqlstate, "%s", argument);
        return argument == NULL || strlen(argument) == 5;
    case ACTION_DELAY:
        return argument != NULL && units_parse_duration(argument, &plan->delay);
    }
    return false;
}

static struct plan *plan_of(const char *name, enum err_class *class)
{
    for (size_t i = 0; i < FAILPOINTS; i++) {
        if (strcmp(POINTS[i].name, name) != 0)
            continue;
        *class = POINTS[i].class;
        return &plans[i];
    }
    return NULL;
}

static bool parse_entry(const char *entry, struct err *err)
{
    char text[ENTRY_SIZE];
    enum err_class class;
    snprintf(text, sizeof text, "%s", entry);
    char *value = strchr(text, '=');
    if (value == NULL || strlen(entry) >= sizeof text)
        return bad_entry(entry, "name=action", err);
    *value++ = '\0';
    if (strcmp(text, "seed") == 0)
        return parse_number(value, "", &seed) || bad_entry(entry, "a number", err);
    struct plan *plan = plan_of(text, &class);
    if (plan == NULL || plan->action != ACTION_NONE)
        return bad_entry(entry, "a name of failpoints.def, once", err);
    char *when = strchr(value, '@');
    if (when != NULL)
        *when++ = '\0';
    if (!parse_action(value, plan) || (plan->action == ACTION_ERROR && class == ERR_NONE))
        return bad_entry(
            entry, "kill, error, error(SQLSTATE) or delay(time), as the point has it", err);
    return when == NULL || parse_when(when, plan) ||
           bad_entry(entry, "@3, @every3 or @10%", err);
}

bool failpoint_parse(const char *text, struct err *err)
{
    char entry[ENTRY_SIZE];
    memset(plans, 0, sizeof plans);
    seed = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        snprintf(entry, sizeof entry, "%.*s", (int)size, text);
        if (!parse_entry(entry, err))
            return false;
        text += size + (text[size] == ',');
    }
    return true;
}

bool failpoint_setup(struct err *err)
{
    const char *text = getenv("SLACKWATER_FAILPOINTS");
    return text == NULL || failpoint_parse(text, err);
}

/* ---- a passage ---- */

/* 0 to 99, evenly: splitmix64. */
static uint64_t draw(enum failpoint point, uint64_t passage)
{
    uint64_t x = seed + ((uint64_t)point << 32) + passage * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (x ^ (x >> 31)) % 100;
}

static bool is_due(const struct plan *plan, enum failpoint point, uint64_t passage)
{
    switch (plan->when) {
    case ALWAYS:
        return true;
    case ONCE:
        return passage == plan->number;
    case EVERY:
        return passage % plan->number == 0;
    case SHARE:
        return draw(point, passage) < plan->number;
    }
    return false;
}

static bool fail(enum failpoint point, const struct plan *plan, struct err *err)
{
    err_set(err, POINTS[point].class, "failpoint %s", POINTS[point].name);
    memcpy(err->sqlstate, plan->sqlstate, sizeof err->sqlstate);
    return false;
}

static void wait_for(usec_t delay)
{
    struct timespec until = clock_timespec(clock_monotonic() + delay);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        continue;
}

bool failpoint_pass(enum failpoint point, struct err *err)
{
    struct plan *plan = &plans[point];
    if (plan->action == ACTION_NONE)
        return true;
    uint64_t passage = atomic_fetch_add(&plan->passages, 1) + 1;
    if (!is_due(plan, point, passage))
        return true;
    log_event(LOG_WARN, "failpoint", log_text("name", POINTS[point].name),
              log_text("action", ACTIONS[plan->action]), log_uint("passage", passage));
    switch (plan->action) {
    case ACTION_NONE:
        break;
    case ACTION_KILL:
        (void)kill(getpid(), SIGKILL);
        break;
    case ACTION_ERROR:
        return fail(point, plan, err);
    case ACTION_DELAY:
        wait_for(plan->delay);
        break;
    }
    return true;
}

#endif
