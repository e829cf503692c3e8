#pragma once
// Which source of a weighted blend the n-th sample comes from, and the how-manieth of that source it is, as a
// pure function of n. Immutable: any thread may call.
//
// The assignment repeats with period kPeriod = 65536. Within a period source i is taken exactly q_i times:
// its share of the weights times kPeriod, rounded by largest remainder, at least once. The order within the
// period keeps every source's count after any number of samples within one of its share (Tijdeman, "The
// chairman assignment problem", Discrete Mathematics 32, 1980: at most 1 - 1/(2k - 2) off for k sources).

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
    std::int64_t sample;  // the source's own counter
  };

  // Weights are finite and above zero; the caller has checked.
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
