#include "transport/registry.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#include "base/poison.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 20)
#define TEXTS_BYTES ((size_t)64 << 20) /* address space for the schemas kept */
#define SCHEMAS_MAX 1024
#define CONNECT_MS 1000L
#define ANSWER_MS 2000L
#define PAUSE_MS 500     /* after a failure */
#define UNKNOWN_MS 60000 /* an id that is unknown is asked for again after this */

struct known {
    int32_t id;
    const char *json; /* NULL: the registry does not have it */
    int64_t asked_ms;
};

struct registry {
    struct arena arena; /* this struct, texts */
    const char *url;
    const char *auth;
    CURL *curl;
    char *answer;
    size_t answer_bytes;
    bool too_long;
    int64_t pause_until_ms;
    char trouble[256];
    uint32_t count;
    struct known known[SCHEMAS_MAX];
};

static size_t take(char *data, size_t size, size_t count, void *self) {
    struct registry *registry = self;
    size_t len = size * count;
    if (registry->answer_bytes + len > ANSWER_BYTES_MAX) {
        registry->too_long = true;
        return 0;
    }
    memcpy(registry->answer + registry->answer_bytes, data, len);
    registry->answer_bytes += len;
    return len;
}

/* ---- opening ---- */

static void set_options(struct registry *registry) {
    CURL *curl = registry->curl;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, registry);
    if (registry->auth != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERPWD, registry->auth);
    }
}

enum status registry_open(struct registry **out, const char *url, const char *auth,
                          struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "schema registry", TEXTS_BYTES, err));
    struct registry *registry = arena_must(&arena, sizeof *registry);
    *registry = (struct registry){.arena = arena};
    registry->answer = arena_must(&registry->arena, ANSWER_BYTES_MAX);
    registry->url = arena_text(&registry->arena, url, strlen(url));
    if (auth != NULL)
        registry->auth = arena_text(&registry->arena, auth, strlen(auth));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        registry->curl = curl_easy_init();
    if (registry->curl == NULL) {
        registry_close(registry);
        return FAIL(err, FATAL, EX_OSERR, "schema registry: libcurl cannot be started");
    }
    set_options(registry);
    *out = registry;
    return OK;
}

void registry_close(struct registry *registry) {
    if (registry->curl != NULL)
        curl_easy_cleanup(registry->curl);
    struct arena arena = registry->arena; /* holds the registry itself */
    arena_release(&arena);
}

/* ---- asking ---- */

static enum status trouble(struct registry *registry, struct error *err) {
    registry->pause_until_ms = clock_ms() + PAUSE_MS;
    log_warn("registry.away", LOG_TEXT("url", registry->url), LOG_TEXT("text", registry->trouble));
    return FAIL(err, RETRY, EX_TEMPFAIL, "schema registry %s: %s", registry->url,
                registry->trouble);
}

static enum status judge(struct registry *registry, const char *path, CURLcode code, long http,
                         struct error *err) {
    if (code != CURLE_OK) {
        snprintf(registry->trouble, sizeof registry->trouble, "%s",
                 registry->too_long ? "an answer of more than a MiB" : curl_easy_strerror(code));
        return trouble(registry, err);
    }
    if (http == 200)
        return OK;
    if (http == 404)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "the registry has no %s", path);
    if (http == 401 || http == 403)
        return FAIL(err, FATAL, EX_CONFIG,
                    "schema registry %s: it does not let us in (HTTP %ld): set "
                    "schema_registry.auth to a reference to user:password",
                    registry->url, http);
    snprintf(registry->trouble, sizeof registry->trouble, "HTTP %ld", http);
    return trouble(registry, err);
}

/* The JSON object at `path`; the caller gives it back. */
static enum status get(struct registry *registry, const char *path, json_t **out,
                       struct error *err) {
    char url[1024];
    long http = 0;
    if (clock_ms() < registry->pause_until_ms) {
        usleep(100000); /* whoever asks again at once does not spin */
        return FAIL(err, RETRY, EX_TEMPFAIL, "schema registry %s: %s", registry->url,
                    registry->trouble);
    }
    snprintf(url, sizeof url, "%s%s", registry->url, path);
    registry->answer_bytes = 0;
    registry->too_long = false;
    curl_easy_setopt(registry->curl, CURLOPT_URL, url);
    CURLcode code = curl_easy_perform(registry->curl);
    curl_easy_getinfo(registry->curl, CURLINFO_RESPONSE_CODE, &http);
    TRY(judge(registry, path, code, http, err));
    *out = json_loadb(registry->answer, registry->answer_bytes, 0, NULL);
    if (json_is_object(*out))
        return OK;
    json_decref(*out);
    snprintf(registry->trouble, sizeof registry->trouble, "its answer to %s is no JSON object",
             path);
    return trouble(registry, err);
}

static struct known *find(struct registry *registry, int32_t id) {
    for (uint32_t i = 0; i < registry->count; i++)
        if (registry->known[i].id == id)
            return &registry->known[i];
    return NULL;
}

/* Keeps what the registry says of an id; json == NULL: nothing. */
static enum status keep(struct registry *registry, int32_t id, const char *json, const char **kept,
                        struct error *err) {
    struct known *known = find(registry, id);
    if (known == NULL && registry->count == SCHEMAS_MAX)
        known = &registry->known[SCHEMAS_MAX - 1]; /* the last one is asked for again */
    else if (known == NULL)
        known = &registry->known[registry->count++];
    *known = (struct known){.id = id, .asked_ms = clock_ms()};
    if (json == NULL)
        return OK;
    known->json = arena_text(&registry->arena, json, strlen(json));
    if (known->json == NULL)
        return FAIL(err, FATAL, EX_UNAVAILABLE, "the registry's schemas are more than %zu bytes",
                    registry->arena.reserved);
    *kept = known->json;
    return OK;
}

/* The schema in an answer; BAD_RECORD when it is not Avro's. */
static enum status schema_of(const json_t *answer, const char **json, struct error *err) {
    const char *type = json_string_value(json_object_get(answer, "schemaType"));
    *json = json_string_value(json_object_get(answer, "schema"));
    if (*json == NULL || (type != NULL && strcmp(type, "AVRO") != 0))
        return FAIL(err, BAD_RECORD, EX_DATAERR, "the registry's schema is of type %s, not AVRO",
                    type != NULL ? type : "(none)");
    return OK;
}

enum status registry_schema(struct registry *registry, int32_t id, const char **json,
                            struct error *err) {
    const struct known *known = find(registry, id);
    json_t *answer = NULL;
    char path[64];
    const char *text = NULL;
    if (known != NULL && known->json != NULL) {
        *json = known->json;
        return OK;
    }
    if (known != NULL && clock_ms() < known->asked_ms + UNKNOWN_MS)
        return FAIL(err, BAD_RECORD, EX_DATAERR, "the registry has no schema %d", id);
    snprintf(path, sizeof path, "/schemas/ids/%d", id);
    enum status status = get(registry, path, &answer, err);
    if (status == OK)
        status = schema_of(answer, &text, err);
    if (status == OK)
        status = keep(registry, id, text, json, err);
    else if (status == BAD_RECORD)
        keep(registry, id, NULL, NULL, err);
    json_decref(answer);
    return status;
}

enum status registry_latest(struct registry *registry, const char *subject, int32_t *id,
                            const char **json, struct error *err) {
    json_t *answer = NULL;
    char path[512];
    const char *text = NULL;
    snprintf(path, sizeof path, "/subjects/%s/versions/latest", subject);
    TRY(get(registry, path, &answer, err));
    enum status status = schema_of(answer, &text, err);
    *id = (int32_t)json_integer_value(json_object_get(answer, "id"));
    if (status == OK)
        status = keep(registry, *id, text, json, err);
    json_decref(answer);
    return status;
}
