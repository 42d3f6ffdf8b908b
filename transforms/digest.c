/* See digest.h. */
#include "transforms/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <xxhash.h>

struct algorithm {
    const char *name;
    size_t size;
    const char *evp; /* its name in libcrypto; NULL: not libcrypto's */
};

static const struct algorithm algorithms[] = {
    [DIGEST_SHA256] = {"SHA-256", 32, "SHA256"},
    [DIGEST_MD5] = {"MD5", 16, "MD5"},
    [DIGEST_SHA1] = {"SHA-1", 20, "SHA1"},
    [DIGEST_XXH64] = {"XXH64", 8, NULL},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

/* Looked up once: libcrypto would otherwise search for the implementation, under its locks, at
 * every value. NULL where the system's policy has it not. Kept to the end of the process. */
static const EVP_MD *fetched[ALGORITHMS];
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        if (algorithms[i].evp)
            fetched[i] = EVP_MD_fetch(NULL, algorithms[i].evp, NULL);
}

size_t digest_size(enum digest_algorithm algorithm)
{
    return algorithms[algorithm].size;
}

static bool digest_xxh64(const void *first, size_t first_size, const void *second,
                         size_t second_size, uint8_t *out)
{
    XXH64_state_t *state = XXH64_createState();
    XXH64_canonical_t canonical;
    bool good = state && XXH64_reset(state, 0) == XXH_OK &&
                XXH64_update(state, first_size ? first : "", first_size) == XXH_OK &&
                XXH64_update(state, second_size ? second : "", second_size) == XXH_OK;

    if (good) {
        XXH64_canonicalFromHash(&canonical, XXH64_digest(state));
        for (size_t i = 0; i < sizeof(canonical.digest); i++)
            out[i] = canonical.digest[i];
    }
    XXH64_freeState(state);
    return good;
}

static bool digest_evp(const EVP_MD *md, const void *first, size_t first_size,
                       const void *second, size_t second_size, uint8_t *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = md && context && EVP_DigestInit_ex(context, md, NULL) == 1 &&
                EVP_DigestUpdate(context, first_size ? first : "", first_size) == 1 &&
                EVP_DigestUpdate(context, second_size ? second : "", second_size) == 1 &&
                EVP_DigestFinal_ex(context, out, NULL) == 1;

    EVP_MD_CTX_free(context);
    return good;
}

bool digest(enum digest_algorithm algorithm, const void *first, size_t first_size,
            const void *second, size_t second_size, uint8_t *out, struct err *err)
{
    const struct algorithm *chosen = &algorithms[algorithm];
    bool good;

    pthread_once(&fetched_once, fetch);
    good = chosen->evp
               ? digest_evp(fetched[algorithm], first, first_size, second, second_size, out)
               : digest_xxh64(first, first_size, second, second_size, out);
    if (good)
        return true;
    err_set(err, ERR_CONFIG, "the system's libraries refuse to compute %s", chosen->name);
    return err_remedy(err, "Choose another algorithm, or look at the system's policy for "
                           "cryptography.");
}

void digest_hex(const uint8_t *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
}
