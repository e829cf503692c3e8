#pragma once
// The endless, ordered stream of samples (seq_length + 1 tokens each) of one dataset or of a weighted blend.
//
// Sample n is a pure function of the options and n: no shuffle table, no state, so a run is at any time
// described by one counter. The stream owns the maps of its datasets; after construction any thread may call
// any method.
//
// Within one dataset an epoch has N = floor((tokens - 1) / S) samples; sample i is tokens [i*S, i*S + S]. The
// n-th sample taken from it belongs to epoch n / N and is i = permutation of (n mod N) keyed by (seed,
// dataset's place in the list, epoch), or i = n mod N without shuffling. Tokens after the last whole sample
// are not used.

#include "headwater/data/blend.h"
#include "headwater/data/indexed_dataset.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace headwater {

struct DatasetSource {
  std::string prefix;   // of a .bin/.idx pair
  double weight = 1.0;  // share of the blend; need not sum to one
};

// One of three consecutive ranges of every source's documents. With D documents and cumulative shares c_k of
// the weights, part k is the documents [round(D * c_k), round(D * c_(k+1))).
struct DatasetSplit {
  std::array<double, 3> weights = {1.0, 0.0, 0.0};  // training, validation, test
  int part = 0;                                     // 0, 1 or 2
};

struct SampleStreamOptions {
  std::vector<DatasetSource> sources;
  std::optional<DatasetSplit> split;  // none: every document
  std::int64_t seq_length = 0;
  std::int64_t vocab_size = 0;  // ids at or above it are refused when read
  std::uint64_t seed = 0;
  bool shuffle = true;
};

class SampleStream {
 public:
  // UserError: a dataset that does not open, too few tokens for one sample, weights that are not positive.
  explicit SampleStream(const SampleStreamOptions& options);

  std::int64_t seq_length() const { return seq_length_; }
  // Sum over the sources of the samples of one epoch. With one source, samples [0, samples_per_epoch()) are
  // the first epoch exactly.
  std::int64_t samples_per_epoch() const;
  std::int64_t tokens() const;  // of all sources' ranges

  // Writes sample n (n >= 0) into `out`, seq_length + 1 ids. UserError where an id lies outside the
  // vocabulary, naming dataset, position and id.
  void get(std::int64_t n, std::span<std::int32_t> out) const;
  std::vector<std::int32_t> get(std::int64_t n) const;

 private:
  struct Source {
    IndexedDataset dataset;
    std::int64_t first_token;  // of the split's range
    std::int64_t tokens;
    std::int64_t samples;  // N
  };
  Source open_source(const DatasetSource& source, const std::optional<DatasetSplit>& split) const;
  // Which window of the source its own sample number `sample` is.
  std::int64_t window_of(int source, std::int64_t sample) const;
  [[noreturn]] void refuse_token(const IndexedDataset& dataset, std::int64_t position) const;

  std::int64_t seq_length_, vocab_size_;
  std::uint64_t seed_;
  bool shuffle_;
  std::vector<Source> sources_;
  Blend blend_;
};

}  // namespace headwater
