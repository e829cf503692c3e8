#pragma once
// The sample streams that a config names: what is trained on, and what is held out.

#include "headwater/config/run_config.h"
#include "headwater/data/batch.h"
#include "headwater/data/sample_stream.h"

#include <optional>

namespace headwater {

// Opens data.train; where there is no data.validation, only the first part of data.split.
SampleStream training_stream(const RunConfig& run);
// Opens data.validation, or the second part of data.split; nothing where neither is given. Samples come in
// order, never shuffled.
std::optional<SampleStream> validation_stream(const RunConfig& run, std::int64_t sequence);
// `data.eod` must be resolved.
DocumentOptions document_options(const DataConfig& data);

}  // namespace headwater
