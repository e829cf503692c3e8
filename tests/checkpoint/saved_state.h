#pragma once
// A small training state for tests of saving: a few tensors whose every element is known, cut among ranks in
// several ways.

#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/saver.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace headwater {

// The state of one rank: its memory, and the tensors in it.
struct RankState {
  std::vector<std::vector<float>> memory;
  std::vector<SaveTensor> tensors;
};

enum class Cut { whole_on_first, dealt_out, boxes_and_ranges };
inline constexpr StateKind kKinds[] = {StateKind::weight, StateKind::exp_avg, StateKind::exp_avg_sq};

// Returns the slices of a tensor that a rank holds.
inline std::vector<Slice> slices_of(Cut cut, std::size_t number, const Shape& shape, int rank, int ranks) {
  switch (cut) {
    case Cut::whole_on_first: return rank == 0 ? std::vector{whole(shape)} : std::vector<Slice>{};
    case Cut::dealt_out:
      return static_cast<int>(number) % ranks == rank ? std::vector{whole(shape)} : std::vector<Slice>{};
    case Cut::boxes_and_ranges: break;
  }
  // Tensor parallelism would cut two boxes along the last dimension, and ZeRO-1 equal ranges of each. Here
  // the rank before the last also holds the last rank's ranges, so that it has two slices of one box.
  const int last = shape.rank() - 1;
  const std::int64_t half = shape[last] / 2;
  std::vector<Slice> slices;
  for (const Slice& box : {part(shape, last, 0, half), part(shape, last, half, shape[last] - half)}) {
    for (int owner = 0; owner < ranks; ++owner) {
      if (std::max(0, std::min(owner, ranks - 2)) != rank) continue;
      const std::int64_t begin = box.count * owner / ranks, end = box.count * (owner + 1) / ranks;
      if (begin < end) slices.push_back({box.box, begin, end - begin});
    }
  }
  return slices;
}

inline const std::vector<std::pair<std::string, Shape>>& saved_shapes() {
  static const std::vector<std::pair<std::string, Shape>> shapes{{"embedding.weight", {6, 5}},
                                                                 {"layers.0.lfa.conv1.weight", {2, 3, 4}},
                                                                 {"layers.0.norm.weight", {7}},
                                                                 {"layers.1.attention.o.weight", {8, 9}}};
  return shapes;
}

// The value of element `index` of a state after `step`.
inline float saved_value(const std::string& name, StateKind kind, std::int64_t step, std::int64_t index) {
  return static_cast<float>(name.size()) + 100.0F * static_cast<float>(kind) +
         1000.0F * static_cast<float>(step) + static_cast<float>(index) / 128.0F;
}

inline RankState rank_state(Cut cut, int rank, int ranks, std::int64_t step) {
  RankState state;
  for (std::size_t i = 0; i < saved_shapes().size(); ++i) {
    const std::string& name = saved_shapes()[i].first;
    const Shape& shape = saved_shapes()[i].second;
    for (const Slice& slice : slices_of(cut, i, shape, rank, ranks)) {
      for (const StateKind kind : kKinds) {
        std::vector<float>& memory = state.memory.emplace_back(static_cast<std::size_t>(slice.count));
        for_shared_runs(whole(shape), slice, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
          for (std::int64_t k = 0; k < count; ++k)
            memory[static_cast<std::size_t>(to + k)] = saved_value(name, kind, step, from + k);
        });
        state.tensors.push_back(
            {name, kind, shape, slice, TensorView(memory.data(), DType::f32, {slice.count})});
      }
    }
  }
  return state;
}

inline SaveHeader saved_header(std::int64_t step) {
  SaveHeader header;
  header.config.model.preset = "yuan2-2.1b";
  header.config.training.seed = 77;
  header.config.training.train_iters = 50;
  header.config.optimizer.lr = 0.1 + 0.2;  // not a short decimal
  header.config.data.train = {{"some/prefix", 0.25}, {"another", 1.0}};
  header.model.family = "yuan2";
  header.model.num_layers = 5;
  header.model.hidden_size = 24;
  header.parallel.pipeline_model_parallel_size = 2;
  header.parallel.pipeline_layout = {false, {2, 3}};
  header.data_parallel_size = 2;
  header.dtype = "bf16";
  header.threads = 3;
  header.counters = {step, step * 8, step * 8 * 16, step - 1, 1, 0, 4};
  return header;
}

// Counts the elements of the checkpoint that differ from the state after `step`.
inline int wrong_elements(const Checkpoint& checkpoint, std::int64_t step) {
  int wrong = 0;
  for (const auto& [name, shape] : saved_shapes()) {
    for (const StateKind kind : kKinds) {
      std::vector<float> values(static_cast<std::size_t>(shape.elements()));
      checkpoint.read(name, kind, whole(shape), {values.data(), DType::f32, shape});
      for (std::size_t i = 0; i < values.size(); ++i)
        if (values[i] != saved_value(name, kind, step, static_cast<std::int64_t>(i))) ++wrong;
    }
  }
  return wrong;
}

}  // namespace headwater
