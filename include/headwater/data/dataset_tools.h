#pragma once
// What `data merge` and `data info` do: several datasets into one, and what a dataset holds. Free functions;
// the progress callback is called by the calling thread.

#include "headwater/data/indexed_dataset.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

struct DatasetInfo {
  std::int64_t sequences = 0, documents = 0, tokens = 0;
  TokenType type = TokenType::uint16;
  std::int64_t largest_token = -1;  // -1 where there is none
};

// Reads every token once.
DatasetInfo dataset_info(const std::string& prefix);

struct MergeOptions {
  std::vector<std::string> inputs;  // prefixes, in the order of the result
  std::string output;               // prefix
};

// The sequences and documents of the inputs, one after the other. The result is uint16 where every input is
// uint8 or uint16, else int32; a token that int32 cannot hold, or a negative one, is a UserError. Constant
// memory.
DatasetInfo merge_datasets(const MergeOptions& options,
                           const std::function<void(std::int64_t tokens, std::int64_t total)>& progress = {});

}  // namespace headwater
