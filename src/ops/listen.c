#include "ops/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_BYTES 128
#define BACKLOG 64
/* A process that was killed a moment ago may still have the port. */
#define TRIES 30
#define PAUSE_US 100000

/* host: "" for all addresses. */
static enum status split(const char *text, char host[HOST_BYTES], const char **port,
                         struct error *err) {
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    const char *begin = text;
    if (length > 1 && text[0] == '[' && colon[-1] == ']') {
        begin++;
        length -= 2;
    }
    bool number = colon != NULL && colon[1] != '\0' &&
                  strspn(colon + 1, "0123456789") == strlen(colon + 1) && strlen(colon + 1) <= 5 &&
                  strtol(colon + 1, NULL, 10) <= 65535;
    if (!number || length >= HOST_BYTES)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "http-listen",
                        "http.listen: `%.100s' is no address with a port, such as 127.0.0.1:9464, "
                        "[::1]:9464 or :9464",
                        text);
    memcpy(host, begin, length);
    host[length] = '\0';
    *port = colon + 1;
    return OK;
}

static int open_one(const struct addrinfo *at) {
    int one = 1, fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static int open_any(const struct addrinfo *found) {
    for (int tries = 1;; tries++) {
        for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
            int fd = open_one(at);
            if (fd >= 0)
                return fd;
        }
        if (errno != EADDRINUSE || tries == TRIES)
            return -1;
        usleep(PAUSE_US);
    }
}

static void name_of(int fd, char *address, size_t size) {
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    char host[HOST_BYTES] = "?", port[16] = "?";
    if (getsockname(fd, (struct sockaddr *)&own, &length) == 0)
        getnameinfo((struct sockaddr *)&own, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    bool six = strchr(host, ':') != NULL;
    snprintf(address, size, "%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
}

enum status listen_open(const char *text, int *fd, char *address, size_t size, struct error *err) {
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    char host[HOST_BYTES];
    const char *port = "";
    TRY(split(text, host, &port, err));
    int code = getaddrinfo(host[0] != '\0' ? host : NULL, port, &wanted, &found);
    if (code != 0)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "http-listen", "http.listen: %.100s: %s", text,
                        gai_strerror(code));
    *fd = open_any(found);
    int cause = errno;
    freeaddrinfo(found);
    if (*fd < 0)
        return FAIL_SEE(err, FATAL, EX_CONFIG, "http-listen",
                        "http.listen: cannot listen at %.100s: %s; %s", text, strerror(cause),
                        cause == EADDRINUSE
                            ? "another process has the port, perhaps another instance: give each "
                              "one its own, or \"\" for none"
                            : "it must be an address of this machine, and a port that it may use");
    name_of(*fd, address, size);
    return OK;
}
