/* From settings to the model: sizes that follow from others, and the model's own configuration. */
#ifndef CONFIG_MODEL_SETTINGS_H
#define CONFIG_MODEL_SETTINGS_H

#include "config/settings.h"

/* content.dims from the modalities, where they are named. FATAL EX_CONFIG when they do not parse or leave no room for vectors. */
enum status settings_lay_out(struct settings *settings, struct error *err);
/* model.z_dims is even, and no more than content.dims. */
void settings_fit_z(struct settings *settings);
struct model_config settings_model(const struct settings *settings);

#endif
