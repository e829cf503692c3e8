#pragma once
// Mixes of everything that shares out a run: what each may be, which of them fit together, and a set of mixes
// in which every pair of values that can meet does.

#include "headwater/schedule/schedule_table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace headwater::test {

// The factors, each with its values.
inline const std::vector<std::vector<std::string>>& factors() {
  static const std::vector<std::vector<std::string>> all = {
      {"tensor 1", "tensor 2", "tensor 4"},
      {"tokens whole", "tokens cut", "tokens and filter cut"},
      {"pipeline 1", "pipeline 2", "pipeline 2 uneven", "pipeline 4", "pipeline 4 uneven"},
      {"data 1", "data 2"},
      {"zero off", "zero on"},
      schedule_names(),
      {"recompute none", "recompute selective", "recompute full", "recompute 1"},
      {"lfa", "no lfa"}};
  return all;
}

enum Factor : std::uint8_t {
  kTensor,
  kTokens,
  kPipeline,
  kData,
  kZero,
  kSchedule,
  kRecompute,
  kLfa,
  kFactors
};
using Mix = std::array<int, kFactors>;  // a value of each factor

inline const std::string& value(const Mix& mix, Factor factor) {
  return factors()[factor][static_cast<std::size_t>(mix[factor])];
}
inline int tensor_ranks(const Mix& mix) { return 1 << mix[kTensor]; }
inline int stages(const Mix& mix) { return mix[kPipeline] == 0 ? 1 : mix[kPipeline] <= 2 ? 2 : 4; }
inline int ranks(const Mix& mix) { return tensor_ranks(mix) * stages(mix) * (1 + mix[kData]); }
inline bool has_lfa(const Mix& mix) { return mix[kLfa] == 0; }

// Whether a schedule has one chunk and whole backwards.
inline bool is_plain(const std::string& schedule) {
  const int chunks = schedule_kind(schedule).default_chunks;
  const Schedule made = make_schedule(schedule, 1, chunks, 1);
  return chunks == 1 &&
         std::ranges::any_of(made.actions[0], [](const Action& a) { return a.kind == ActionKind::backward; });
}

// A mix takes up to 8 ranks; it cuts tokens among several ranks only, and a filter only where there is one;
// on one stage it interleaves nothing and takes no backward apart.
inline bool fits(const Mix& mix) {
  if (ranks(mix) > 8) return false;
  if (mix[kTensor] == 0 && mix[kTokens] != 0) return false;
  if (!has_lfa(mix) && mix[kTokens] == 2) return false;
  static const std::vector<bool> plain = [] {
    std::vector<bool> by_value;
    for (const std::string& schedule : factors()[kSchedule]) by_value.push_back(is_plain(schedule));
    return by_value;
  }();
  return stages(mix) > 1 || plain[static_cast<std::size_t>(mix[kSchedule])];
}

inline std::string name(const Mix& mix) {
  std::string text;
  for (int f = 0; f < kFactors; ++f) {
    if (f > 0) text += ", ";
    text += value(mix, static_cast<Factor>(f));
  }
  return text;
}

// Of a model with 8 layers.
inline std::vector<std::string> overrides(const Mix& mix) {
  const std::string& schedule = value(mix, kSchedule);
  const bool uneven = mix[kPipeline] == 2 || mix[kPipeline] == 4;
  const int chunks = schedule_kind(schedule).default_chunks, virtual_stages = stages(mix) * chunks;
  const char* layers = virtual_stages == 2   ? "[5,3]"
                       : virtual_stages == 4 ? "[1,3,4,0]"
                                             : "[0,2,1,1,1,2,1,0]";
  std::vector<std::string> all = {
      "parallel.tensor_model_parallel_size=" + std::to_string(tensor_ranks(mix)),
      "parallel.pipeline_model_parallel_size=" + std::to_string(stages(mix)),
      "parallel.pipeline_schedule=" + schedule,
      std::string("parallel.use_distributed_optimizer=") + (mix[kZero] == 1 ? "true" : "false"),
      std::string("model.lfa=") + (has_lfa(mix) ? "true" : "false")};
  if (chunks > 1) all.push_back("parallel.num_chunks=" + std::to_string(chunks));
  if (uneven) all.push_back(std::string("parallel.pipeline_layout=") + layers);
  if (mix[kTokens] > 0) all.emplace_back("parallel.sequence_parallel=true");
  if (mix[kTokens] > 0)
    all.push_back(std::string("parallel.lfa_sharding=") + (mix[kTokens] == 1 ? "channels" : "tokens"));
  if (mix[kRecompute] == 1) all.emplace_back("parallel.recompute=selective");
  if (mix[kRecompute] == 2) all.emplace_back("parallel.recompute=full");
  if (mix[kRecompute] == 3) {  // the first layer of each stage that has one, in full
    std::string list = "[";
    for (int s = 0; s < virtual_stages; ++s) {
      const bool empty =
          uneven && ((virtual_stages == 4 && s == 3) || (virtual_stages == 8 && (s == 0 || s == 7)));
      if (s > 0) list += ",";
      list += empty ? "0" : "1";
    }
    list += "]";
    all.push_back("parallel.recompute=" + list);
  }
  return all;
}

// All that fit.
inline std::vector<Mix> all_mixes() {
  std::vector<Mix> all;
  Mix mix{};
  for (;;) {
    if (fits(mix)) all.push_back(mix);
    int f = kFactors - 1;
    while (f >= 0 && ++mix[static_cast<std::size_t>(f)] ==
                         static_cast<int>(factors()[static_cast<std::size_t>(f)].size()))
      mix[static_cast<std::size_t>(f--)] = 0;
    if (f < 0) return all;
  }
}

// At least `count` mixes, spread over the whole product, among them one for every pair of values that can
// meet.
inline std::vector<Mix> covering_mixes(std::size_t count) {
  const std::vector<Mix> all = all_mixes();
  std::size_t most_values = 0;  // of a factor
  for (const auto& values : factors()) most_values = std::max(most_values, values.size());
  std::vector<bool> met(kFactors * most_values * kFactors * most_values, false);
  const auto pair = [&](int f, int a, int g, int b) {
    const auto index = [](int i) { return static_cast<std::size_t>(i); };
    return ((index(f) * most_values + index(a)) * kFactors + index(g)) * most_values + index(b);
  };
  const auto visit = [&](const Mix& mix, bool mark) {
    int fresh = 0;
    for (int f = 0; f < kFactors; ++f)
      for (int g = f + 1; g < kFactors; ++g) {
        const std::size_t p = pair(f, mix[static_cast<std::size_t>(f)], g, mix[static_cast<std::size_t>(g)]);
        if (!met[p]) ++fresh;
        if (mark) met[p] = true;
      }
    return fresh;
  };
  std::vector<Mix> chosen;
  for (;;) {
    const Mix* best = nullptr;
    int most = 0;
    for (const Mix& mix : all)
      if (const int fresh = visit(mix, false); fresh > most) {
        most = fresh;
        best = &mix;
      }
    if (best == nullptr) break;
    visit(*best, true);
    chosen.push_back(*best);
  }
  const std::size_t wanted = count > chosen.size() ? count - chosen.size() : 0;
  for (std::size_t i = 0; i < wanted; ++i) chosen.push_back(all[(2 * i + 1) * all.size() / (2 * wanted)]);
  return chosen;
}

}  // namespace headwater::test
