#include "headwater/comm/communicator.h"

#include <algorithm>
#include <cstring>

namespace headwater {
namespace {

// Bytes are sent as i32, since every kind of communicator moves those unchanged.
constexpr std::size_t kWord = sizeof(std::int32_t);

std::size_t words_for(std::size_t bytes) { return (bytes + kWord - 1) / kWord; }

TensorView view_of(std::vector<std::int32_t>& words) {
  return {words.data(), DType::i32, {static_cast<std::int64_t>(words.size())}};
}

std::vector<std::int64_t> gather_values(Communicator& group, std::int64_t value) {
  std::vector<std::int32_t> mine(sizeof value / kWord);
  std::vector<std::int32_t> all(mine.size() * static_cast<std::size_t>(group.size()));
  std::memcpy(mine.data(), &value, sizeof value);
  group.all_gather(view_of(mine), view_of(all)).wait();
  std::vector<std::int64_t> values(static_cast<std::size_t>(group.size()));
  std::memcpy(values.data(), all.data(), values.size() * sizeof value);
  return values;
}

}  // namespace

std::int64_t sum_over(Communicator& group, std::int64_t value) {
  std::int64_t sum = 0;
  for (const std::int64_t each : gather_values(group, value)) sum += each;
  return sum;
}

std::int64_t max_over(Communicator& group, std::int64_t value) {
  const std::vector<std::int64_t> values = gather_values(group, value);
  return *std::max_element(values.begin(), values.end());
}

void barrier(Communicator& group) { gather_values(group, 0); }

void broadcast_bytes(Communicator& group, std::vector<std::byte>& bytes, int root) {
  const std::int64_t size =
      max_over(group, group.rank() == root ? static_cast<std::int64_t>(bytes.size()) : 0);
  bytes.resize(static_cast<std::size_t>(size));
  std::vector<std::int32_t> words(words_for(bytes.size()));
  if (words.empty()) return;
  std::memcpy(words.data(), bytes.data(), bytes.size());
  group.broadcast(view_of(words), root).wait();
  std::memcpy(bytes.data(), words.data(), bytes.size());
}

std::vector<std::vector<std::byte>> gather_bytes(Communicator& group, std::span<const std::byte> bytes) {
  const std::vector<std::int64_t> sizes = gather_values(group, static_cast<std::int64_t>(bytes.size()));
  const std::size_t words =
      words_for(static_cast<std::size_t>(*std::max_element(sizes.begin(), sizes.end())));
  std::vector<std::vector<std::byte>> result(sizes.size());
  if (words == 0) return result;
  std::vector<std::int32_t> mine(words);
  std::vector<std::int32_t> all(words * sizes.size());
  if (!bytes.empty()) std::memcpy(mine.data(), bytes.data(), bytes.size());
  group.all_gather(view_of(mine), view_of(all)).wait();
  for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
    const auto* begin = reinterpret_cast<const std::byte*>(all.data() + rank * words);
    result[rank].assign(begin, begin + sizes[rank]);
  }
  return result;
}

}  // namespace headwater
