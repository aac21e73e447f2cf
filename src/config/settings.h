/* All configuration, as the property table (config/properties.c) fills it: defaults, then the YAML file, then --set.
 * One table is the parser, the validator, --help and docs/CONFIGURATION.md. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "stage/stage.h"

enum encoder { ENCODER_PCA, ENCODER_BEHAVIOUR };

/* Names to texts, as the file has them: kafka.properties. */
#define TEXT_MAP_MAX 24
struct text_map {
    uint32_t count;
    struct {
        char key[64], value[256];
    } at[TEXT_MAP_MAX];
};

#define TOPIC_NAME_BYTES 128

struct settings {
    uint64_t seed;
    uint32_t content_dims; /* 0: taken from the recording's first listing */
    char modalities[160];  /* content.modalities */
    uint32_t title_bytes;
    uint32_t z_dims;
    uint32_t books[SID_CODES];
    uint32_t
        train_listings; /* at most; a recording with few listings at its start trains on fewer */
    struct encoder_config learned;        /* encoder.* */
    struct generation_config generations; /* generation.* */
    struct update_config updates;         /* tokenizer.*: codebooks that follow the stream */
    struct ranker_config ranker;          /* model.*; z_dims, books and seed are those above */
    enum encoder encoder;                 /* model.encoder=pca | behaviour */
    struct stage_config
        stage;           /* epoch.*, labels.*, parking.*; its texts are filled in by the command */
    double warmup_share; /* evaluation.warmup_share: of the recording's interactions */
    uint64_t warmup_events; /* evaluation.warmup_events; 0: the share decides */
    uint32_t items_max, users_max, id_bytes_max;                      /* limits.* */
    uint32_t output_partitions;                                       /* of each output topic */
    uint32_t output_compression;                                      /* none | deflate */
    char kafka_brokers[512], kafka_prefix[64], kafka_application[64]; /* kafka.*: for `run` */
    struct text_map kafka_properties; /* references to secrets are not resolved here */
    char topic_names[TOPIC_COUNT + 1][TOPIC_NAME_BYTES]; /* topics.*; the last: leader */
    uint32_t topic_replication;                          /* 0: the broker's default */
    int64_t topic_segment_ms, topic_segment_bytes, topic_delete_retention_ms, topic_retention_ms;
    double topic_dirty_ratio;
    uint32_t linger_ms, fetch_bytes, produce_bytes, session_timeout_ms, transaction_timeout_ms;
    uint32_t drain_s;                           /* after SIGTERM */
    char registry_url[256], registry_auth[256]; /* auth: with references to secrets */
    uint32_t snapshot_epochs;                   /* a local snapshot every so many epochs; 0: none */
    char http_listen[128];                      /* of `run`; "": no HTTP server */
    char snapshot_folder[160];                  /* of `run`; "": none */
    uint32_t log_level, log_format;             /* enum log_level, enum log_format */
    double progress_s; /* a line per so many seconds when stderr is no terminal */
};

void settings_default(struct settings *out);

/* Reads a YAML file over the defaults. Every error in the file is reported through `report` (one call each, "FILE:LINE:COL: text"
 * with the nearest known key for an unknown one); the status is FATAL EX_CONFIG if there was any, EX_NOINPUT when the file is absent. */
typedef void (*settings_report)(void *self, const char *text);
enum status settings_read(struct settings *out, const char *path, settings_report report,
                          void *self, struct error *err);
enum status settings_decode(struct settings *out, struct bytes yaml, const char *name,
                            settings_report report, void *self,
                            struct error *err); /* from memory: fuzzing, manifests */
/* Defaults, then the file, then assignments as after --set. */
#define SETTINGS_ASSIGNMENTS_MAX 64
enum status settings_from(struct settings *out, const char *path, const char *const *assignments,
                          int count, settings_report report, void *self, struct error *err);
/* "key=value" as after --set. */
enum status settings_set(struct settings *out, const char *assignment, struct error *err);
/* The effective configuration as YAML text that settings_decode reads back to the same; returns its length, at most size - 1. */
size_t settings_text(const struct settings *settings, char *out, size_t size);
/* docs/CONFIGURATION.md. */
void settings_manual(void (*write)(void *self, const char *text), void *self);

#endif
