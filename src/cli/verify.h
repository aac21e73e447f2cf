/* `replay --verify`: recomputes a recording that has manifests and names the first epoch, table and row that differs, or the
 * input that is missing. */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli/progress.h"
#include "cli/session.h"

/* `outputs`: the folder with the epochs topic. *epochs = how many were found equal. FATAL EX_DATAERR at the first difference, EX_CONFIG
 * when this machine's OpenBLAS core type is not the recorded one. */
enum status verify_outputs(struct session *session, const char *outputs, struct progress *progress,
                           uint64_t *epochs, struct error *err);
/* The configuration that the outputs were made with, from their first manifest; empty text when they have none. */
enum status verify_config(struct session *session, const char *outputs, char *text, size_t size,
                          struct error *err);

#endif
