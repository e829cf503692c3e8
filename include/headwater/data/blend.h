#pragma once
// A weighted blend of sources: tells, as a pure function of n, from which source the blend's n-th sample
// comes, and which sample of that source it is. Immutable: any thread may call.
//
// The order of sources repeats after kPeriod = 65536 samples. Within a period, source i is taken q_i times:
// q_i is its share of the weights times kPeriod, rounded by largest remainder, and at least 1. The order
// within the period is such that after any number of samples each source's count differs by less than one
// from its share (Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980: by at most 1 −
// 1/(2k − 2) for k sources).

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace headwater {

class Blend {
 public:
  static constexpr std::int64_t kPeriod = 65536;
  static constexpr std::size_t kMostSources = 1024;

  struct Place {
    int source;
    std::int64_t sample;  // counted within the source
  };

  // Weights must be finite and above zero, which is not checked here.
  explicit Blend(std::span<const double> weights);

  Place operator()(std::int64_t n) const;
  const std::vector<std::int64_t>& quotas() const { return quotas_; }  // q_i; their sum is kPeriod

 private:
  struct Slot {
    std::int32_t source;
    std::int32_t rank;  // how many slots of the same source come before it in the period
  };
  std::vector<std::int64_t> quotas_;
  std::vector<Slot> slots_;  // empty with one source
};

}  // namespace headwater
