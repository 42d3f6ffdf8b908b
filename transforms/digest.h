/* Digests of two byte strings one after the other (salt and value, namespace and name), by
 * libcrypto and libxxhash. Any thread. */
#ifndef TRANSFORMS_DIGEST_H
#define TRANSFORMS_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_MOST_BYTES 32

enum digest_algorithm { DIGEST_SHA256, DIGEST_MD5, DIGEST_SHA1, DIGEST_XXH64 };

/* Bytes in a digest. */
size_t digest_size(enum digest_algorithm algorithm);

/* Fills digest_size() bytes; XXH64 is seeded with 0 and big-endian, as xxhsum prints it.
 * ERR_CONFIG when libcrypto refuses the algorithm (MD5 under a FIPS policy). */
bool digest(enum digest_algorithm algorithm, const void *first, size_t first_size,
            const void *second, size_t second_size, uint8_t *out, struct err *err);

/* Two lower-case digits a byte, without a NUL. */
void digest_hex(const uint8_t *bytes, size_t size, char *text);

#endif
