#pragma once
// The sample streams that a config names: what is trained on, and what is held out.

#include "headwater/config/run_config.h"
#include "headwater/data/batch.h"
#include "headwater/data/sample_stream.h"

#include <optional>

namespace headwater {

// data.train; without data.validation only the first part of data.split.
SampleStream training_stream(const RunConfig& run);
// data.validation, or the second part of data.split; none where neither is given. In order, never shuffled.
std::optional<SampleStream> validation_stream(const RunConfig& run, std::int64_t sequence);
// `data.eod` is resolved.
DocumentOptions document_options(const DataConfig& data);

}  // namespace headwater
