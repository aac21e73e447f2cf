/* What the files of the library's public face (include/coldstream/coldstream.h) share. */
#ifndef FOLLOW_PUBLIC_H
#define FOLLOW_PUBLIC_H

#include "coldstream/coldstream.h"
#include "follow/follow.h"
#include "follow/source.h"

#include <pthread.h>

struct cs_options {
    struct arena arena; /* itself */
    struct follow_config config;
};

/* A table as dense arrays, for one view. */
struct dense {
    struct arena arena; /* itself too */
    void *data;
    uint8_t *live;
    uint32_t rows;
};

struct cs_view {
    _Atomic bool open;
    cs_follower *follower;
    struct step_facts facts;
    _Atomic(struct dense *) *dense; /* [tables] NULL: not asked for */
};

struct cs_follower {
    struct arena arena; /* itself, the views */
    struct follow *follow;
    struct versions *versions;
    struct tables *set;
    const struct model_config *model;
    const struct table *items, *sid, *counts, *z, *codebooks;
    struct cs_view *views; /* [CS_VIEWS_MAX] */
    _Atomic uint32_t next_view;
    /* driving */
    pthread_mutex_t mutex; /* of what follows; never taken by look-ups */
    pthread_cond_t news;
    pthread_t thread;
    _Atomic bool threaded; /* there is a thread */
    _Atomic bool stop;
    int outcome; /* of the thread, CS_OK while it runs */
    cs_error error;
};

/* A status of ours as one of the public ones; fills *error unless it is NULL. */
int public_status(enum status status, const struct error *err, cs_error *error);
/* Fills *error; returns status. */
int public_fail(cs_error *error, int status, int exit_code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int public_seen(enum seen seen);
/* NULL: there is no such table. */
const struct table *public_table(const cs_follower *follower, uint32_t table);
/* The first `size` bytes of a struct, no more than there are. */
void public_copy(void *out, size_t size, const void *from, size_t from_size);
/* `items`, which the public does not see, stands among the tables: its number is passed over. */
uint32_t public_number(const cs_follower *follower, uint32_t table);

/* The view's row of a table into `out`; false when it is not there. *stale is set when the view is. */
bool view_value(const cs_view *view, const struct table *table, uint32_t row, void *out,
                bool *stale);
void dense_release(struct dense *dense);

#endif
