/* What foreign keys that are enforced for what slackwater writes would do to rows that the source
 * keeps, or refuse what was right there: findings. */
#ifndef CLI_ENFORCED_H
#define CLI_ENFORCED_H

struct migration;

/* Once the rules are bound. Nothing where foreign keys do not fire. */
void enforced_check(struct migration *migration);

#endif
