#include "transport/kafka_statistics.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdlib.h>

struct kafka_statistics {
    pthread_mutex_t mutex;
    struct {
        char *json;
        size_t len;
    } last[KAFKA_CLIENTS];
};

struct kafka_statistics *kafka_statistics_create(void) {
    struct kafka_statistics *s = calloc(1, sizeof *s);
    if (s != NULL)
        pthread_mutex_init(&s->mutex, NULL);
    return s;
}

void kafka_statistics_destroy(struct kafka_statistics *s) {
    if (s == NULL)
        return;
    for (int c = 0; c < KAFKA_CLIENTS; c++)
        free(s->last[c].json);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

void kafka_statistics_put(struct kafka_statistics *s, enum kafka_client client, char *json,
                          size_t len) {
    char *old = json;
    if (s != NULL && pthread_mutex_trylock(&s->mutex) == 0) {
        old = s->last[client].json;
        s->last[client].json = json;
        s->last[client].len = len;
        pthread_mutex_unlock(&s->mutex);
    }
    free(old); /* librdkafka: to be freed with free() by whoever took it over */
}

void kafka_statistics_look(struct kafka_statistics *s, enum kafka_client client,
                           void (*see)(void *self, const char *json, size_t len), void *self) {
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->mutex);
    if (s->last[client].json != NULL)
        see(self, s->last[client].json, s->last[client].len);
    pthread_mutex_unlock(&s->mutex);
}
