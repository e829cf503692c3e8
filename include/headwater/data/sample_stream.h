#pragma once
// The endless, ordered stream of samples (seq_length + 1 tokens each) of one dataset or of a weighted blend.
//
// Sample n is a pure function of the options and n. There is no shuffle table and no state, so that one
// counter says where a run is. The stream owns the maps of its datasets; after construction any thread may
// call any method.
//
// Let S be seq_length. An epoch of one dataset has N = floor((tokens − 1) / S) windows, and window i is
// tokens [i·S, i·S + S]; tokens after the last window are not used. The n-th sample that is taken from the
// dataset belongs to epoch n / N. It is window n mod N, or with shuffling that number's image under the
// permutation whose key is (seed, the dataset's position in the list, epoch).

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

// Takes one of three consecutive ranges of every source's documents. With D documents and cumulative shares
// c_k of the weights, part k is documents [round(D · c_k), round(D · c_(k+1))).
struct DatasetSplit {
  std::array<double, 3> weights = {1.0, 0.0, 0.0};  // training, validation, test
  int part = 0;                                     // 0, 1 or 2
};

struct SampleStreamOptions {
  std::vector<DatasetSource> sources;
  std::optional<DatasetSplit> split;  // empty: all documents
  std::int64_t seq_length = 0;
  std::int64_t vocab_size = 0;  // get() refuses ids at or above it
  std::uint64_t seed = 0;
  bool shuffle = true;
};

class SampleStream {
 public:
  // Throws UserError if a dataset does not open or has too few tokens for one sample, or if a weight is not
  // positive.
  explicit SampleStream(const SampleStreamOptions& options);

  std::int64_t seq_length() const { return seq_length_; }
  // The samples of one epoch, added up over the sources. With one source, samples [0, samples_per_epoch())
  // are exactly the first epoch.
  std::int64_t samples_per_epoch() const;
  std::int64_t tokens() const;  // of all sources, each within its part of the split

  // Writes the seq_length + 1 ids of sample n (n >= 0) into `out`. Throws UserError with dataset, position
  // and id if an id lies outside the vocabulary.
  void get(std::int64_t n, std::span<std::int32_t> out) const;
  std::vector<std::int32_t> get(std::int64_t n) const;

 private:
  struct Source {
    IndexedDataset dataset;
    std::int64_t first_token, tokens;  // the range that the split takes
    std::int64_t samples;              // windows in the range: N above
  };
  Source open_source(const DatasetSource& source, const std::optional<DatasetSplit>& split) const;
  // Returns the window of the source that is its sample number `sample`.
  std::int64_t window_of(int source, std::int64_t sample) const;
  [[noreturn]] void refuse_token(const IndexedDataset& dataset, std::int64_t position) const;

  std::int64_t seq_length_, vocab_size_;
  std::uint64_t seed_;
  bool shuffle_;
  std::vector<Source> sources_;
  Blend blend_;
};

}  // namespace headwater
