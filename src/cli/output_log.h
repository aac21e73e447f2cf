/* The stage's outputs read back, epoch by epoch: for resume (fold) and verify (compare). */
#ifndef CLI_OUTPUT_LOG_H
#define CLI_OUTPUT_LOG_H

#include "codec/codec.h"
#include "transport/recording.h"

struct output_log;

/* Opens the output files in `dir`, `partitions` of each topic as written. Memory from `arena`. */
enum status output_log_open(struct output_log **out, const char *dir,
                            const struct recording_writer_config *written, struct codec *codec,
                            struct arena *arena, struct error *err);
/* The next manifest, copied into `scratch`; *got = false at the end. */
enum status output_log_manifest(struct output_log *log, struct arena *scratch, struct manifest *out,
                                bool *got, struct error *err);
/* The next record of one partition; borrowed until the next call for it. */
enum status output_log_next(struct output_log *log, enum topic topic, int32_t partition,
                            struct record *out, bool *got, struct error *err);
/* All row records up to the manifest's ends, one call each, topic after topic. */
typedef enum status (*output_row)(void *self, const struct row_output *row, struct error *err);
enum status output_log_rows(struct output_log *log, const struct manifest *manifest,
                            output_row take, void *self, struct error *err);
/* Passes over them. */
enum status output_log_skip(struct output_log *log, const struct manifest *manifest,
                            struct error *err);
void output_log_close(struct output_log *log);

#endif
