/* One GET of one JSON document. Only plain HTTP to the given address: no proxy, no redirect, no
 * other protocol, so that a status command never talks to anyone else. */
#include "observe/client.h"

#include "base/buf.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DOCUMENT ((size_t)16 << 20)
#define TIMEOUT_MS 5000L

static size_t keep(char *data, size_t one, size_t size, void *context)
{
    (void)one; /* always 1 (curl's CURLOPT_WRITEFUNCTION) */
    struct buf *body = context;
    if (size > MAX_DOCUMENT - body->size)
        return 0; /* curl stops with CURLE_WRITE_ERROR */
    buf_append(body, data, size);
    return size;
}

/* An address that listens on all interfaces is asked at the local one. */
static char *url_of(const char *address, const char *path)
{
    static const char *const all[] = {"0.0.0.0:", "[::]:", "*:", ":"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t size = strlen(all[i]);
        if (strncmp(address, all[i], size) == 0)
            return mem_format("http://127.0.0.1:%s%s", address + size, path);
    }
    return mem_format("http://%s%s", address, path);
}

static bool nobody_answers(const char *address, const char *why, struct err *err)
{
    err_set(err, ERR_RETRY, "nobody answers at %s: %s", address, why);
    return err_remedy(err, "is `slackwater run` running? set http.listen, or give -c the "
                           "configuration file it runs with");
}

static bool fetch(const char *address, const char *url, struct buf *body, struct err *err)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return err_set(err, ERR_BUG, "curl cannot be set up");
    char detail[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code == CURLE_WRITE_ERROR)
        return err_set(err, ERR_RETRY, "%s: the answer is larger than %zu MB", url,
                       MAX_DOCUMENT >> 20);
    if (code != CURLE_OK)
        return nobody_answers(address, *detail ? detail : curl_easy_strerror(code), err);
    return true;
}

static bool parse(const char *url, const struct buf *body, json_t **document, struct err *err)
{
    json_error_t error;
    json_t *parsed = json_loadb(buf_text(body), body->size, 0, &error);
    if (!parsed) {
        err_set(err, ERR_RETRY, "%s does not answer with JSON", url);
        return err_remedy(err, "does another program listen there? set http.listen");
    }
    *document = parsed;
    return true;
}

bool client_get(const char *address, const char *path, json_t **document, struct err *err)
{
    struct buf body = {0};
    char *url = url_of(address, path);
    bool ok = fetch(address, url, &body, err) && parse(url, &body, document, err);
    free(url);
    buf_free(&body);
    return ok;
}
