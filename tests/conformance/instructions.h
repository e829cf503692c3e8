#pragma once
// Each instruction of ptx.cuh run once by a small kernel: what came out, and what the PTX manual says should,
// computed in double on the host by other means. The emulation is held to the latter, and to what a GPU gave
// (expected.tsv) where that has been written.

#include <cstdint>
#include <string>
#include <vector>

namespace headwater::conformance {

struct Outcome {
  std::string name;
  bool floats = false;  // the words are floats, and may differ by `tolerance`; else they are exact
  std::vector<std::uint32_t> words;  // by lane, then by register
  std::vector<double> meaning;       // of each word
  double tolerance = 0.0;            // absolute
};

std::vector<Outcome> tensor_core_outcomes();
std::vector<Outcome> copy_outcomes();
std::vector<Outcome> lane_outcomes();
std::vector<Outcome> conversion_outcomes();

inline std::vector<Outcome> all_outcomes() {
  std::vector<Outcome> all;
  for (const auto& some : {tensor_core_outcomes(), copy_outcomes(), lane_outcomes(), conversion_outcomes()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace headwater::conformance
