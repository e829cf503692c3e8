#include "layer_partition.h"

#include "headwater/base/index.h"

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kEqual = 1.0 - 1e-12;  // so that rounding does not count as faster

// The numbers that the bound needs of stages p … P−1 together: `chain`, the longest of their chains that the
// bound looks at; `total`, one forward and backward through all of them. A suffix that has less of either
// never makes the stages before it slower.
struct Suffix {
  double chain = 0.0, total = 0.0;
};

struct Option {
  int layers = 0;
  StageRecompute recompute;
  StageSeconds seconds;
};

class Search {
 public:
  Search(const PartitionProblem& problem, std::size_t how_many, std::int64_t effort);
  PartitionResult run();

 private:
  int layers() const { return static_cast<int>(problem_.layers.size()); }
  int stages() const { return problem_.stages(); }
  std::size_t at(int stage, int first) const { return as_index(stage * (layers() + 1) + first); }
  void find_options();
  void find_suffixes();
  Suffix before(int stage, const StageSeconds& seconds, const Suffix& rest) const;
  double bound(int next_stage, int next_layer) const;
  void descend(int stage, int first);
  void time_chosen();

  const PartitionProblem& problem_;
  const std::size_t how_many_;
  std::int64_t effort_;
  const CriticalPath path_;
  std::vector<std::vector<Option>> options_;   // at(stage, first layer): all that fit
  std::vector<std::vector<Suffix>> suffixes_;  // at(stage, first layer): none is worse in both than another
  std::vector<const Option*> chosen_;
  PartitionResult result_;
};

Search::Search(const PartitionProblem& problem, std::size_t how_many, std::int64_t effort)
    : problem_(problem),
      how_many_(how_many),
      effort_(effort),
      path_(one_forward_one_backward(problem.stages(), problem.micro_batches)),
      options_(as_index(stages() * (layers() + 1))),
      suffixes_(as_index((stages() + 1) * (layers() + 1))) {}

void Search::find_options() {
  const StageCosts costs(problem_);
  for (int stage = 0; stage < stages(); ++stage) {
    const bool is_first = stage == 0, is_last = stage + 1 == stages();
    const int fewest = problem_.fewest(stage);
    for (int first = std::max(0, stage - 1); first <= (is_first ? 0 : layers()); ++first) {
      for (int last = is_last ? layers() : first + fewest; last <= layers(); ++last) {
        const auto recompute = costs.least_recompute(stage, first, last);
        if (!recompute) {
          if (problem_.recompute.empty()) break;  // more layers do not fit either
          continue;
        }
        const StageCost cost = costs.cost(stage, first, last, *recompute);
        options_[at(stage, first)].push_back({last - first, *recompute, cost.seconds});
      }
    }
  }
}

// Adds stage p to the suffix `rest` of later stages. Let f and b be the stage's forward and backward, M the
// micro-batches, w the forwards that the stage runs ahead (it runs w + 1 before its first backward), and T
// one forward and backward through all later stages. A 1F1B step takes at least as long as each of these
// chains, of which the largest is the new bound:
//   M (f + b)                          all of the stage's own work
//   M (f + b) + T − w f                micro-batch 0 goes on to the later stages in place of w forwards here
//   M (f + b) + T − w b                the last micro-batch does so in place of w backwards here
//   M (f + b) + (T − w f) + (T − w b)  both, where they are different micro-batches: w < M − 1
//   f + b + rest.chain                 the stage once, and the longest chain of the later stages
Suffix Search::before(int stage, const StageSeconds& seconds, const Suffix& rest) const {
  const int ahead = std::min(stages() - 1 - stage, problem_.micro_batches - 1);
  const double at_start = std::max(0.0, rest.total - ahead * seconds.forward);
  const double at_end = std::max(0.0, rest.total - ahead * seconds.backward());
  const double excursions =
      ahead < problem_.micro_batches - 1 ? at_start + at_end : std::max(at_start, at_end);
  const double around = problem_.micro_batches * seconds.total() + excursions;
  return {std::max(around, seconds.total() + rest.chain), seconds.total() + rest.total};
}

void Search::find_suffixes() {
  suffixes_[at(stages(), layers())] = {Suffix{}};
  for (int stage = stages() - 1; stage >= 0; --stage) {
    for (int first = 0; first <= layers(); ++first) {
      std::vector<Suffix> all;
      for (const Option& option : options_[at(stage, first)])
        for (const Suffix& rest : suffixes_[at(stage + 1, first + option.layers)])
          all.push_back(before(stage, option.seconds, rest));
      std::sort(all.begin(), all.end(), [](const Suffix& a, const Suffix& b) {
        return a.chain < b.chain || (a.chain == b.chain && a.total < b.total);
      });
      std::vector<Suffix>& kept = suffixes_[at(stage, first)];
      for (const Suffix& suffix : all)
        if (kept.empty() || suffix.total < kept.back().total * kEqual) kept.push_back(suffix);
    }
  }
}

// Returns a bound from below for every layout that begins with the chosen stages.
double Search::bound(int next_stage, int next_layer) const {
  double least = kInfinity;
  for (Suffix suffix : suffixes_[at(next_stage, next_layer)]) {
    for (int stage = next_stage - 1; stage >= 0; --stage)
      suffix = before(stage, chosen_[as_index(stage)]->seconds, suffix);
    least = std::min(least, suffix.chain);
  }
  return least;
}

void Search::time_chosen() {
  Partition partition;
  std::vector<StageSeconds> seconds;
  for (const Option* option : chosen_) {
    partition.stages.push_back({option->layers, option->recompute});
    seconds.push_back(option->seconds);
  }
  partition.seconds = path_.seconds(seconds);
  effort_ -= path_.actions();
  auto& best = result_.best;
  best.insert(std::upper_bound(best.begin(), best.end(), partition.seconds,
                               [](double value, const Partition& other) { return value < other.seconds; }),
              std::move(partition));
  if (best.size() > how_many_) best.pop_back();
}

void Search::descend(int stage, int first) {
  if (stage == stages()) return time_chosen();
  std::vector<std::pair<double, const Option*>> next;
  for (const Option& option : options_[at(stage, first)]) {
    chosen_.push_back(&option);
    next.emplace_back(bound(stage + 1, first + option.layers), &option);
    chosen_.pop_back();
    effort_ -= stage + 1;
  }
  std::stable_sort(next.begin(), next.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& candidate : next) {
    const bool hopeless = !result_.best.empty() && candidate.first >= result_.best.front().seconds * kEqual;
    if (hopeless || candidate.first == kInfinity) return;
    if (effort_ <= 0 && !result_.best.empty()) {
      result_.bound = std::min(result_.bound, candidate.first);
      return;
    }
    chosen_.push_back(candidate.second);
    descend(stage + 1, first + candidate.second->layers);
    chosen_.pop_back();
  }
}

PartitionResult Search::run() {
  find_options();
  find_suffixes();
  result_.bound = kInfinity;
  descend(0, 0);
  if (!result_.best.empty()) result_.bound = std::min(result_.bound, result_.best.front().seconds);
  return result_;
}

}  // namespace

PartitionResult best_partitions(const PartitionProblem& problem, std::size_t how_many, std::int64_t effort) {
  return Search(problem, how_many, effort).run();
}

}  // namespace headwater
