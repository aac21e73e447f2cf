/* The words that titles are made of: "copper garden lamp 17". */
#ifndef CLI_MARKET_WORDS_H
#define CLI_MARKET_WORDS_H

#include "cli/market.h"

#define MARKET_MATERIALS 12
extern const char *const market_topic_words[MARKET_TOPICS];
extern const char *const market_nouns[MARKET_TASTES];
extern const char *const market_materials[MARKET_MATERIALS];

#endif
