#include "ops/http.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/listen.h"
#include "ops/status_page.h"
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128
#define CROWD 96         /* from so many on, the one that is silent for longest goes */
#define SILENCE_S 10     /* a connection without a byte */
#define REQUEST_MS 15000 /* from a connection's beginning, or its last answer, to a whole request */
#define CONNECTION_BYTES 16384 /* of a request's line and headers, and of what is sent */
#define BODY_BYTES ((size_t)4 << 20)
/* So many requests and new connections in so long; then the server sleeps for the rest of it, and clients wait in the kernel. */
#define CALLS_MAX 20
#define CALLS_MS 100
#define PAUSE_US 2000   /* between two looks at the connections */
#define FRESH_MS 100    /* what was rendered is good for so long */
#define LOOK_UP_MS 2000 /* the stage answers within this, or is busy */
#define NICENESS 19

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define TEXT_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_JSON "application/json"
#define TEXT_HTML "text/html; charset=utf-8"

struct guest {
    int fd;           /* -1: free */
    int64_t since_ms; /* its beginning, or its last answer */
};

struct http {
    struct arena arena;
    struct watch *watch;
    struct MHD_Daemon *daemon;
    int fd;
    char address[160];
    pthread_t thread;
    bool started;
    atomic_bool stop;
    struct show *show;
    int64_t shown_ms;
    char *metrics, *status; /* rendered; NULL status: not since the last refresh */
    size_t metrics_length;
    struct guest guests[CONNECTIONS_MAX];
    int64_t calls_since_ms;
    int calls;
    /* the one look-up under way */
    struct MHD_Connection *asking; /* suspended; NULL: none */
    int64_t asked_ms;
    bool answered, late;
    char *answer;
};

/* ---- answers ---- */

struct answer {
    unsigned code;
    const char *type;
    const char *body;
    size_t length;
    enum MHD_ResponseMemoryMode mode;
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, const struct answer *a) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(a->length, (void *)(uintptr_t)a->body, a->mode);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", a->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy", "frame-ancestors 'none'");
    if (a->code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (a->code == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, "Retry-After", "1");
    enum MHD_Result result = MHD_queue_response(connection, a->code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned code, const char *type,
                                 const char *text) {
    return send_answer(connection,
                       &(struct answer){code, type, text, strlen(text), MHD_RESPMEM_MUST_COPY});
}

static enum MHD_Result send_error(struct MHD_Connection *connection, unsigned code,
                                  const char *text) {
    char *json = NULL;
    json_t *object = json_pack("{s:s}", "error", text);
    if (object != NULL)
        json = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    enum MHD_Result result = send_text(connection, code, TEXT_JSON, json != NULL ? json : "{}");
    free(json);
    return result;
}

/* ---- what is shown ---- */

static void refresh(struct http *h) {
    int64_t now_ms = clock_ms();
    if (h->shown_ms != 0 && now_ms - h->shown_ms < FRESH_MS)
        return;
    h->shown_ms = now_ms;
    show_refresh(h->show, h->watch);
    h->metrics_length = 0;
    free(h->status);
    h->status = NULL;
}

static enum MHD_Result send_metrics(struct http *h, struct MHD_Connection *connection) {
    if (h->metrics_length == 0)
        h->metrics_length = show_metrics(h->show, h->metrics, BODY_BYTES);
    return send_answer(connection, &(struct answer){MHD_HTTP_OK, TEXT_METRICS, h->metrics,
                                                    h->metrics_length, MHD_RESPMEM_MUST_COPY});
}

static enum MHD_Result send_status(struct http *h, struct MHD_Connection *connection) {
    if (h->status == NULL) {
        json_t *status = show_status(h->show);
        h->status = json_dumps(status, JSON_COMPACT | JSON_REAL_PRECISION(9));
        json_decref(status);
    }
    return h->status != NULL ? send_text(connection, MHD_HTTP_OK, TEXT_JSON, h->status) : MHD_NO;
}

static enum MHD_Result send_ready(struct http *h, struct MHD_Connection *connection) {
    char reason[REASON_BYTES], line[REASON_BYTES + 1];
    bool ready = show_ready(h->show, reason);
    snprintf(line, sizeof line, "%s\n", ready ? "ready" : reason);
    return send_text(connection, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, TEXT_PLAIN,
                     line);
}

/* ---- look-ups ---- */

static void forget_look_up(struct http *h) {
    h->asking = NULL;
    h->answered = h->late = false;
    free(h->answer);
    h->answer = NULL;
}

static enum MHD_Result end_look_up(struct http *h, struct MHD_Connection *connection) {
    enum MHD_Result result;
    if (h->late)
        result = send_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                            "the stage is busy: try again in a second");
    else if (h->answer == NULL)
        result = send_error(connection, MHD_HTTP_NOT_FOUND, "there is no such item");
    else
        result = send_text(connection, MHD_HTTP_OK, TEXT_JSON, h->answer);
    forget_look_up(h);
    return result;
}

/* Comes twice: first it asks and is suspended, then it takes the answer. */
static enum MHD_Result send_item(struct http *h, struct MHD_Connection *connection) {
    const char *id = NULL;
    size_t length = 0;
    if (h->asking == connection)
        return end_look_up(h, connection);
    if (MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "id", 2, &id, &length) !=
            MHD_YES ||
        id == NULL || length == 0)
        return send_error(connection, MHD_HTTP_BAD_REQUEST,
                          "which item? /item.json?id=ID, percent-encoded");
    if (strlen(id) != length ||
        length >= WATCH_ID_BYTES) /* with a zero byte, or too long for any */
        return send_error(connection, MHD_HTTP_NOT_FOUND, "there is no such item");
    if (h->show->status.state != WATCH_LEADING)
        return send_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "this instance does not lead: ask the one that does");
    if (h->asking != NULL || !watch_ask(h->watch, id))
        return send_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "another look-up is under way: try again in a second");
    h->asking = connection;
    h->asked_ms = clock_ms();
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void tend_look_up(struct http *h) {
    if (h->asking == NULL || h->answered)
        return;
    h->answered = watch_answer(h->watch, &h->answer);
    if (!h->answered && clock_ms() - h->asked_ms < LOOK_UP_MS && !atomic_load(&h->stop))
        return;
    if (!h->answered) {
        watch_give_up(h->watch);
        h->answered = h->late = true;
    }
    MHD_resume_connection(h->asking);
}

/* ---- requests ---- */

static int path_of(const char *url) {
    int path = 0;
    while (path < HTTP_PATHS - 1 && strcmp(url, http_path_names[path]) != 0)
        path++;
    return path;
}

static enum MHD_Result route(struct http *h, struct MHD_Connection *connection, const char *url) {
    switch (path_of(url)) {
    case 0:
        return send_answer(connection,
                           &(struct answer){MHD_HTTP_OK, TEXT_HTML, status_page,
                                            strlen(status_page), MHD_RESPMEM_PERSISTENT});
    case 1:
        return send_text(connection, MHD_HTTP_OK, TEXT_PLAIN, "ok\n");
    case 2:
        return send_ready(h, connection);
    case 3:
        return send_metrics(h, connection);
    case 4:
        return send_status(h, connection);
    case 5:
        return send_item(h, connection);
    case 6:
        return send_text(connection, MHD_HTTP_NO_CONTENT, TEXT_PLAIN, "");
    default:
        return send_error(connection, MHD_HTTP_NOT_FOUND,
                          "there are /, /healthz, /readyz, /metrics, /status.json and "
                          "/item.json?id=ID");
    }
}

static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **request) {
    struct http *h = self;
    (void)version, (void)data, (void)data_size, (void)request;
    if (h->asking == connection && h->answered)
        return end_look_up(h, connection);
    h->show->requests[path_of(url)]++;
    h->calls++;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    refresh(h);
    return route(h, connection, url);
}

/* A connection may end while it waits for its answer. */
static void completed(void *self, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why) {
    struct http *h = self;
    (void)request, (void)why;
    if (h->asking == connection) {
        if (!h->answered)
            watch_give_up(h->watch);
        forget_look_up(h);
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct guest *guest = info != NULL ? info->socket_context : NULL;
    if (guest != NULL)
        guest->since_ms = clock_ms();
}

/* ---- connections ---- */

static void come_or_go(void *self, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code) {
    struct http *h = self;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context != NULL)
            ((struct guest *)*context)->fd = -1;
        return;
    }
    h->calls++;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (int i = 0; info != NULL && i < CONNECTIONS_MAX; i++)
        if (h->guests[i].fd < 0) {
            h->guests[i] = (struct guest){info->connect_fd, clock_ms()};
            *context = &h->guests[i];
            return;
        }
}

/* A client that sends a byte now and then is never silent: what counts is a whole request. */
static void show_out(struct http *h) {
    int64_t now_ms = clock_ms();
    struct guest *oldest = NULL;
    int count = 0;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct guest *guest = &h->guests[i];
        if (guest->fd < 0)
            continue;
        count++;
        if (now_ms - guest->since_ms > REQUEST_MS)
            shutdown(guest->fd, SHUT_RDWR);
        else if (oldest == NULL || guest->since_ms < oldest->since_ms)
            oldest = guest;
    }
    if (count >= CROWD && oldest != NULL && now_ms - oldest->since_ms > 1000)
        shutdown(oldest->fd, SHUT_RDWR);
}

/* ---- the thread ---- */

/* However fast clients are, this thread takes a few percent of a core. */
static void rest(struct http *h) {
    int64_t now_ms = clock_ms(), left_ms = h->calls_since_ms + CALLS_MS - now_ms;
    usleep(h->calls > CALLS_MAX && left_ms > 0 ? (useconds_t)left_ms * 1000 : PAUSE_US);
    if (left_ms > 0 && h->calls <= CALLS_MAX)
        return;
    h->calls_since_ms = clock_ms();
    h->calls = 0;
}

static void *serve(void *self) {
    struct http *h = self;
    setpriority(PRIO_PROCESS, (id_t)gettid(),
                NICENESS); /* of this thread alone: the stage goes first */
    while (!atomic_load(&h->stop)) {
        MHD_run_wait(h->daemon, h->asking != NULL ? 10 : 100);
        tend_look_up(h);
        show_out(h);
        (void)watch_survey(h->watch);
        rest(h);
    }
    tend_look_up(h);
    return NULL;
}

static void tell(void *self, const char *format, va_list args) {
    char text[256];
    (void)self;
    vsnprintf(text, sizeof text, format, args);
    log_debug("http.client", LOG_TEXT("text", text));
}

static enum status start(struct http *h, struct error *err) {
    sigset_t all, before;
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
                                 NULL, NULL, handle, h, MHD_OPTION_EXTERNAL_LOGGER, tell, NULL,
                                 MHD_OPTION_LISTEN_SOCKET, h->fd, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, completed,
                                 h, MHD_OPTION_NOTIFY_CONNECTION, come_or_go, h, MHD_OPTION_END);
    if (h->daemon == NULL)
        return FAIL(err, FATAL, EX_OSERR, "the HTTP server does not start: %s", strerror(errno));
    h->fd = -1;       /* the server's now */
    sigfillset(&all); /* signals are for the stage's thread */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int code = pthread_create(&h->thread, NULL, serve, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return FAIL(err, FATAL, EX_OSERR, "the HTTP server's thread does not start: %s",
                    strerror(code));
    h->started = true;
    return OK;
}

enum status http_open(struct http **out, const char *listen, const struct show_facts *facts,
                      struct watch *watch, struct error *err) {
    struct arena arena;
    TRY(arena_reserve(&arena, "HTTP server",
                      sizeof(struct http) + sizeof(struct show) + BODY_BYTES + 4096, err));
    struct http *h = arena_must(&arena, sizeof *h);
    *h = (struct http){.arena = arena, .watch = watch, .fd = -1};
    h->show = arena_must(&h->arena, sizeof *h->show);
    h->metrics = arena_must(&h->arena, BODY_BYTES);
    h->show->facts = *facts;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        h->guests[i].fd = -1;
    enum status status = listen_open(listen, &h->fd, h->address, sizeof h->address, err);
    if (status == OK)
        status = start(h, err);
    if (status == OK)
        *out = h;
    else
        http_close(h);
    return status;
}

const char *http_address(const struct http *h) {
    return h->address;
}

void http_close(struct http *h) {
    if (h == NULL)
        return;
    atomic_store(&h->stop, true);
    if (h->started)
        pthread_join(h->thread, NULL);
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon);
    if (h->fd >= 0)
        close(h->fd);
    free(h->status);
    free(h->answer);
    struct arena arena = h->arena; /* it lies in it */
    arena_release(&arena);
}
