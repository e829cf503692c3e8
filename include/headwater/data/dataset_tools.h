#pragma once
// The work of `data merge`, which makes one dataset of several, and of `data info`, which says what a
// dataset holds.

#include "headwater/data/indexed_dataset.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

struct DatasetInfo {
  std::int64_t sequences = 0, documents = 0, tokens = 0;
  TokenType type = TokenType::uint16;
  std::int64_t largest_token = -1;  // −1 if there are no tokens
};

// Reads all tokens of the dataset.
DatasetInfo dataset_info(const std::string& prefix);

struct MergeOptions {
  std::vector<std::string> inputs;  // prefixes, in the order of the result
  std::string output;               // prefix
};

// Writes the sequences and documents of the inputs one after the other, in constant memory. The result is
// uint16 if all inputs are uint8 or uint16, and int32 otherwise. Throws UserError for a token that is
// negative or that int32 cannot hold. The calling thread calls `progress`.
DatasetInfo merge_datasets(const MergeOptions& options,
                           const std::function<void(std::int64_t tokens, std::int64_t total)>& progress = {});

}  // namespace headwater
