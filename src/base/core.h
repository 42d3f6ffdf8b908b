/* What the process holds is not to be read by others: a core dump has the DSNs in it, and rows.
 */
#ifndef BASE_CORE_H
#define BASE_CORE_H

/* No core dump of this process from now on, to a file or a pipe, and no debugger of another
 * process of the same user. Builds for debugging are left as they are. */
void core_forbid(void);

#endif
