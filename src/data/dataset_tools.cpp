#include "headwater/data/dataset_tools.h"

#include "headwater/base/error.h"

#include "indexed_dataset_writer.h"

#include <algorithm>
#include <deque>
#include <limits>

namespace headwater {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 16;  // tokens

class Merger {
 public:
  Merger(IndexedDatasetWriter& writer, std::int64_t total,
         const std::function<void(std::int64_t, std::int64_t)>& progress)
      : writer_(writer), total_(total), progress_(progress) {}

  void add(const IndexedDataset& dataset) {
    std::int64_t position = 0;
    for (std::int64_t document = 0; document < dataset.documents(); ++document) {
      const std::int64_t end = dataset.document_first_sequence(document + 1);
      for (std::int64_t s = dataset.document_first_sequence(document); s < end; ++s) {
        const std::int64_t length = dataset.sequence_length(s);
        for (std::int64_t done = 0; done < length; done += kBlock)
          copy(dataset, position + done, std::min(kBlock, length - done));
        position += length;
        writer_.end_sequence();
      }
      writer_.end_document();
    }
  }

  std::int64_t largest_token() const { return largest_; }

 private:
  void copy(const IndexedDataset& dataset, std::int64_t begin, std::int64_t count) {
    wide_.resize(static_cast<std::size_t>(count));
    narrow_.resize(wide_.size());
    dataset.read(begin, wide_);
    for (std::size_t i = 0; i < wide_.size(); ++i) {
      if (wide_[i] < 0 || wide_[i] > std::numeric_limits<std::int32_t>::max())
        throw UserError("dataset {} has token {} at position {}; tokens lie in 0..2147483647",
                        dataset.prefix(), wide_[i], begin + static_cast<std::int64_t>(i));
      narrow_[i] = static_cast<std::int32_t>(wide_[i]);
      largest_ = std::max(largest_, wide_[i]);
    }
    writer_.append(narrow_);
    if (progress_ && writer_.tokens() >= reported_ + (std::int64_t{1} << 20)) {
      reported_ = writer_.tokens();
      progress_(reported_, total_);
    }
  }

  IndexedDatasetWriter& writer_;
  std::int64_t total_, reported_ = 0, largest_ = -1;
  const std::function<void(std::int64_t, std::int64_t)>& progress_;
  std::vector<std::int64_t> wide_;
  std::vector<std::int32_t> narrow_;
};

}  // namespace

DatasetInfo dataset_info(const std::string& prefix) {
  const IndexedDataset dataset(prefix);
  DatasetInfo info{dataset.sequences(), dataset.documents(), dataset.tokens(), dataset.type(), -1};
  std::vector<std::int64_t> block;
  for (std::int64_t begin = 0; begin < dataset.tokens(); begin += kBlock) {
    block.resize(static_cast<std::size_t>(std::min(kBlock, dataset.tokens() - begin)));
    dataset.read(begin, block);
    info.largest_token = std::max(info.largest_token, *std::max_element(block.begin(), block.end()));
  }
  return info;
}

DatasetInfo merge_datasets(const MergeOptions& options,
                           const std::function<void(std::int64_t tokens, std::int64_t total)>& progress) {
  if (options.inputs.empty()) throw UserError("data merge: no dataset was given");
  std::deque<IndexedDataset> datasets;
  std::int64_t total = 0;
  bool narrow = true;
  for (const std::string& prefix : options.inputs) {
    const IndexedDataset& dataset = datasets.emplace_back(prefix);
    total += dataset.tokens();
    narrow = narrow && (dataset.type() == TokenType::uint8 || dataset.type() == TokenType::uint16);
  }
  const TokenType type = narrow ? TokenType::uint16 : TokenType::int32;
  IndexedDatasetWriter writer(options.output, type);
  Merger merger(writer, total, progress);
  for (const IndexedDataset& dataset : datasets) merger.add(dataset);
  writer.finish();
  if (progress) progress(total, total);
  return {writer.sequences(), writer.documents(), writer.tokens(), type, merger.largest_token()};
}

}  // namespace headwater
