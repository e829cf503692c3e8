#include "headwater/data/sample_stream.h"

#include "headwater/base/error.h"
#include "headwater/base/random.h"

#include "permutation.h"

#include <algorithm>
#include <cmath>

namespace headwater {
namespace {

constexpr std::array<std::string_view, 3> kPartNames = {"training", "validation", "test"};

std::vector<double> checked_weights(const std::vector<DatasetSource>& sources) {
  if (sources.empty()) throw UserError("no dataset was given");
  if (sources.size() > Blend::kMostSources)
    throw UserError("a blend of {} datasets; at most {} can be blended (data merge joins some)",
                    sources.size(), Blend::kMostSources);
  std::vector<double> weights;
  double total = 0.0;
  for (const DatasetSource& source : sources) {
    if (!std::isfinite(source.weight) || source.weight <= 0.0)
      throw UserError("dataset {} has weight {}; weights are above zero", source.prefix, source.weight);
    weights.push_back(source.weight);
    total += source.weight;
  }
  if (!std::isfinite(total)) throw UserError("the weights of the datasets add up to {}", total);
  return weights;
}

// Returns the first document of the split's part, and one past its last.
std::pair<std::int64_t, std::int64_t> documents_of(const DatasetSplit& split, std::int64_t documents) {
  double total = 0.0;
  for (const double weight : split.weights) {
    if (!std::isfinite(weight) || weight < 0.0)
      throw UserError("data.split has the weight {}; its weights are zero or above", weight);
    total += weight;
  }
  if (!(total > 0.0) || !std::isfinite(total))
    throw UserError("the weights of data.split add up to {}", total);
  HW_CHECK(split.part >= 0 && split.part < 3, "part {} of a split", split.part);
  const auto bound = [&](int part) {
    double sum = 0.0;
    for (int i = 0; i < part; ++i) sum += split.weights[static_cast<std::size_t>(i)];
    return std::min<std::int64_t>(std::llround(static_cast<double>(documents) * (sum / total)), documents);
  };
  return {bound(split.part), split.part == 2 ? documents : bound(split.part + 1)};
}

}  // namespace

SampleStream::SampleStream(const SampleStreamOptions& options)
    : seq_length_(options.seq_length),
      vocab_size_(options.vocab_size),
      seed_(options.seed),
      shuffle_(options.shuffle),
      blend_(checked_weights(options.sources)) {
  HW_CHECK(seq_length_ >= 1 && vocab_size_ >= 1, "seq_length {}, vocab_size {}", seq_length_, vocab_size_);
  sources_.reserve(options.sources.size());
  for (const DatasetSource& source : options.sources) sources_.push_back(open_source(source, options.split));
}

SampleStream::Source SampleStream::open_source(const DatasetSource& source,
                                               const std::optional<DatasetSplit>& split) const {
  Source result{IndexedDataset(source.prefix), 0, 0, 0};
  result.tokens = result.dataset.tokens();
  std::string part;
  if (split) {
    const auto [first, end] = documents_of(*split, result.dataset.documents());
    result.first_token = result.dataset.document_first_token(first);
    result.tokens = result.dataset.document_first_token(end) - result.first_token;
    part = fmt::format(", {} part of data.split (documents {} to {} of {}),",
                       kPartNames[static_cast<std::size_t>(split->part)], first, end,
                       result.dataset.documents());
  }
  result.samples = (result.tokens - 1) / seq_length_;
  if (result.samples < 1)
    throw UserError("dataset {}{} has {} tokens; one sample of seq_length {} takes {}", source.prefix, part,
                    result.tokens, seq_length_, seq_length_ + 1);
  return result;
}

std::int64_t SampleStream::samples_per_epoch() const {
  std::int64_t sum = 0;
  for (const Source& source : sources_) sum += source.samples;
  return sum;
}

std::int64_t SampleStream::tokens() const {
  std::int64_t sum = 0;
  for (const Source& source : sources_) sum += source.tokens;
  return sum;
}

std::int64_t SampleStream::window_of(int source, std::int64_t sample) const {
  const std::int64_t samples = sources_[static_cast<std::size_t>(source)].samples;
  if (!shuffle_) return sample % samples;
  const RandomKey order =
      derive(derive(RandomKey{seed_}, "sample order"), static_cast<std::uint64_t>(source));
  const Permutation permutation(derive(order, static_cast<std::uint64_t>(sample / samples)),
                                static_cast<std::uint64_t>(samples));
  return static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(sample % samples)));
}

void SampleStream::get(std::int64_t n, std::span<std::int32_t> out) const {
  HW_CHECK(std::ssize(out) == seq_length_ + 1, "{} ids for a sample of seq_length {}", out.size(),
           seq_length_);
  const Blend::Place place = blend_(n);
  const Source& source = sources_[static_cast<std::size_t>(place.source)];
  const std::int64_t begin = source.first_token + window_of(place.source, place.sample) * seq_length_;
  source.dataset.read(begin, out);
  const auto bad =
      std::find_if(out.begin(), out.end(), [&](std::int32_t id) { return id < 0 || id >= vocab_size_; });
  if (bad != out.end()) refuse_token(source.dataset, begin + (bad - out.begin()));
}

std::vector<std::int32_t> SampleStream::get(std::int64_t n) const {
  std::vector<std::int32_t> sample(static_cast<std::size_t>(seq_length_ + 1));
  get(n, sample);
  return sample;
}

void SampleStream::refuse_token(const IndexedDataset& dataset, std::int64_t position) const {
  std::int64_t id = 0;
  dataset.read(position, std::span(&id, 1));
  throw UserError("dataset {} has token {} at position {}; the vocabulary has {}, ids 0 to {}",
                  dataset.prefix(), id, position, vocab_size_, vocab_size_ - 1);
}

}  // namespace headwater
