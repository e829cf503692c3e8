#include "tests/backend/op_cases.h"

#include <utility>

namespace headwater::testing {

std::vector<OpCases> all_ops() {
  std::vector<OpCases> all;
  for (const auto& family : {memory_ops(), product_ops(), row_ops(), attention_ops(), training_ops()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

std::vector<double> document_starts(OpCase& c, std::int64_t samples, std::int64_t sequence,
                                    std::int64_t offset) {
  std::vector<double> starts;
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    std::int64_t start = 0, end = 0;
    for (std::int64_t t = 0; t < sequence; ++t) {
      if (t == end) {
        start = t;
        end = t + (c.integer(0, 1) == 0 ? 1 : c.integer(1, 9));
      }
      starts.push_back(static_cast<double>(offset + sample * sequence + start));
    }
  }
  return starts;
}

TensorView dropout_keys(OpCase& c, std::int64_t samples) {
  std::vector<double> words;
  for (std::int64_t i = 0; i < 2 * samples; ++i)
    words.push_back(static_cast<double>(c.integer(-2147483648, 2147483647)));
  const std::int64_t gap = std::exchange(c.gap, 0);
  const TensorView keys = c.values(Role::index, {samples, 2}, words);
  c.gap = gap;
  return keys;
}

}  // namespace headwater::testing
