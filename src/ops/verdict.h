/* Is all well? One judgement for the status page, `top` and scripts. */
#ifndef OPS_VERDICT_H
#define OPS_VERDICT_H

#include <jansson.h>

/* Judges the object of /status.json, which may lack anything and is not altered. Returns, for the caller to free,
 *   {"level": "good" | "warn" | "bad", "text": "All is well: leading, 0.2 s behind, ...",
 *    "problems": [{"level": "warn" | "bad", "where": "x.interactions partition 3", "text": "74 s behind (12,345 records)",
 *                  "remedy": "...", "see": "ColdstreamLag" | null}]}
 * with the worst problem first, which is also the text. `see` is an entry of docs/RUNBOOK.md. */
json_t *verdict_of(const json_t *status);

#endif
