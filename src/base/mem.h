/* Allocation that cannot fail. When memory is exhausted the process says so and aborts: its
 * state lives at the target, so a restart resumes from there, and no caller carries an
 * out-of-memory branch that no test could reach. Sizes that come from a wire or a file must be
 * checked against a cap before they get here. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                          /* uninitialised */
void *mem_zero(size_t count, size_t size);             /* zeroed; the product is checked */
void *mem_grow(void *old, size_t count, size_t size);  /* realloc; the product is checked */
char *mem_string(const char *text);                    /* NULL gives NULL */
char *mem_string_sized(const char *data, size_t size); /* adds a NUL */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

size_t mem_resident(void); /* bytes that the process has in memory; 0: not known */

#endif
