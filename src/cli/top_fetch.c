#include "cli/top_fetch.h"
#include "base/arena.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_MS 3000L
#define ANSWER_MS 5000L
#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define OTHERS_MAX 2

struct top_fetch {
    struct arena arena; /* this struct, the answer */
    CURLM *multi;
    CURL *curl;
    char *answer;
    size_t answer_bytes;
    bool too_long, begun;
    char url[TOP_URL_BYTES];
};

static size_t take(char *data, size_t size, size_t count, void *self) {
    struct top_fetch *fetch = self;
    size_t len = size * count;
    if (fetch->answer_bytes + len > ANSWER_BYTES_MAX) {
        fetch->too_long = true;
        return 0;
    }
    memcpy(fetch->answer + fetch->answer_bytes, data, len);
    fetch->answer_bytes += len;
    return len;
}

static enum status place_to_url(const char *place, char url[TOP_URL_BYTES], struct error *err) {
    size_t length = strlen(place);
    bool whole = strncmp(place, "http://", 7) == 0 || strncmp(place, "https://", 8) == 0;
    while (length > 0 && place[length - 1] == '/')
        length--;
    if (length == 0 || length > 900 || strcspn(place, " \t\r\n") < length ||
        (!whole && (strstr(place, "://") != NULL || strchr(place, ':') == NULL)))
        return FAIL(err, FATAL, EX_USAGE,
                    "`%.100s' is neither HOST:PORT nor a URL of http or https", place);
    snprintf(url, TOP_URL_BYTES, "%s%.*s/status.json", whole ? "" : "http://", (int)length, place);
    return OK;
}

static void set_options(struct top_fetch *fetch) {
    CURL *curl = fetch->curl;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(curl, CURLOPT_URL, fetch->url);
}

enum status top_fetch_open(struct top_fetch **out, const char *place, struct error *err) {
    struct arena arena;
    char url[TOP_URL_BYTES];
    TRY(place_to_url(place, url, err));
    TRY(arena_reserve(&arena, "answer of a stage", ANSWER_BYTES_MAX + 65536, err));
    struct top_fetch *fetch = arena_must(&arena, sizeof *fetch);
    fetch->answer = arena_must(&arena, ANSWER_BYTES_MAX);
    fetch->arena = arena;
    memcpy(fetch->url, url, sizeof url);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        fetch->multi = curl_multi_init();
        fetch->curl = curl_easy_init();
    }
    if (fetch->multi == NULL || fetch->curl == NULL) {
        top_fetch_close(fetch);
        return FAIL(err, FATAL, EX_OSERR, "libcurl cannot be started");
    }
    set_options(fetch);
    *out = fetch;
    return OK;
}

void top_fetch_close(struct top_fetch *fetch) {
    if (fetch->begun)
        curl_multi_remove_handle(fetch->multi, fetch->curl);
    if (fetch->curl != NULL)
        curl_easy_cleanup(fetch->curl);
    if (fetch->multi != NULL)
        curl_multi_cleanup(fetch->multi);
    struct arena arena = fetch->arena; /* holds the struct itself */
    arena_release(&arena);
}

const char *top_fetch_url(const struct top_fetch *fetch) {
    return fetch->url;
}

void top_fetch_begin(struct top_fetch *fetch) {
    ASSERT(!fetch->begun);
    fetch->answer_bytes = 0;
    fetch->too_long = false;
    fetch->begun = true;
    curl_multi_add_handle(fetch->multi, fetch->curl);
}

static enum status judge(struct top_fetch *fetch, CURLcode code, json_t **status,
                         struct error *err) {
    long http = 0;
    json_error_t where;
    curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &http);
    if (code != CURLE_OK && !fetch->too_long)
        return FAIL(err, RETRY, EX_UNAVAILABLE,
                    "%s: no stage answers (%s). Does `coldstream run' run there, with "
                    "http.listen set to this host and port?",
                    fetch->url, curl_easy_strerror(code));
    if (http == 200 && !fetch->too_long)
        *status = json_loadb(fetch->answer, fetch->answer_bytes, 0, &where);
    if (json_is_string(json_object_get(*status, "state")))
        return OK;
    json_decref(*status);
    *status = NULL;
    return FAIL(err, RETRY, EX_DATAERR,
                "%s: what answers is no coldstream stage (HTTP %ld, %zu bytes%s). The port is that "
                "of its http.listen",
                fetch->url, http, fetch->answer_bytes, fetch->too_long ? " and more" : "");
}

enum status top_fetch_wait(struct top_fetch *fetch, struct pollfd *others, unsigned other_count,
                           int wait_ms, bool *done, json_t **status, struct error *err) {
    struct curl_waitfd waits[OTHERS_MAX] = {{0}};
    int running, left;
    *done = false;
    *status = NULL;
    ASSERT(other_count <= OTHERS_MAX);
    for (unsigned i = 0; i < other_count; i++) {
        waits[i].fd = others[i].fd;
        waits[i].events = CURL_WAIT_POLLIN;
    }
    curl_multi_perform(fetch->multi, &running);
    if (!fetch->begun || running > 0)
        curl_multi_poll(fetch->multi, waits, other_count, wait_ms, NULL);
    for (unsigned i = 0; i < other_count; i++)
        others[i].revents = waits[i].revents;
    if (!fetch->begun)
        return OK;
    curl_multi_perform(fetch->multi, &running);
    const CURLMsg *message = curl_multi_info_read(fetch->multi, &left);
    if (message == NULL || message->msg != CURLMSG_DONE)
        return OK;
    CURLcode code = message->data.result;
    curl_multi_remove_handle(fetch->multi, fetch->curl);
    fetch->begun = false;
    *done = true;
    return judge(fetch, code, status, err);
}
