#include "headwater/layout/process_grid.h"

#include "headwater/base/error.h"

#include <fmt/format.h>

namespace headwater {
namespace {

// The counts next to `ranks` that `product` divides: "4 or 8".
std::string counts_that_would_do(int ranks, int product) {
  const int below = ranks / product * product;
  return below == 0 ? fmt::format("{}", product) : fmt::format("{} or {}", below, below + product);
}

}  // namespace

ProcessGrid ProcessGrid::make(int ranks, int tensor, int context, int pipeline, int repeat) {
  HW_CHECK(ranks >= 1 && tensor >= 1 && context >= 1 && pipeline >= 1 && repeat >= 1 && tensor % repeat == 0,
           "a grid of {} ranks: {} (in {}s) x {} x {}", ranks, tensor, repeat, context, pipeline);
  const int product = tensor * context * pipeline;
  if (ranks % product != 0) {
    std::string factors;  // only those that the person chose
    for (const auto& [key, size] : {std::pair{"tensor_model_parallel_size", tensor},
                                    {"context_parallel_size", context},
                                    {"pipeline_model_parallel_size", pipeline}})
      if (size > 1) factors += fmt::format("{}parallel.{} {}", factors.empty() ? "" : " x ", key, size);
    throw UserError(
        "{} rank{} cannot be shared out by {}{}: start {} ranks", ranks, ranks == 1 ? "" : "s", factors,
        product == tensor || product == context || product == pipeline ? "" : fmt::format(" = {}", product),
        counts_that_would_do(ranks, product));
  }
  ProcessGrid grid;
  grid.sizes_ = {repeat, tensor / repeat, context, ranks / product, pipeline};
  return grid;
}

int ProcessGrid::ranks() const {
  int product = 1;
  for (const int size : sizes_) product *= size;
  return product;
}

int ProcessGrid::coordinate(int rank, Axis axis) const {
  HW_CHECK(rank >= 0 && rank < ranks(), "rank {} of {}", rank, ranks());
  const auto index = static_cast<std::size_t>(axis);
  for (std::size_t faster = 0; faster < index; ++faster) rank /= sizes_[faster];
  return rank % sizes_[index];
}

int ProcessGrid::size(AxisSet axes) const {
  int product = 1;
  for (int i = 0; i < kAxes; ++i)
    if (axes.contains(static_cast<Axis>(i))) product *= sizes_[static_cast<std::size_t>(i)];
  return product;
}

int ProcessGrid::coordinate(int rank, AxisSet axes) const {
  int place = 0;
  for (int i = kAxes; i-- > 0;) {
    const auto axis = static_cast<Axis>(i);
    if (axes.contains(axis)) place = place * size(axis) + coordinate(rank, axis);
  }
  return place;
}

std::vector<int> ProcessGrid::group(int rank, AxisSet axes) const {
  std::vector<int> members;
  for (int other = 0; other < ranks(); ++other) {
    bool together = true;
    for (int i = 0; i < kAxes; ++i) {
      const auto axis = static_cast<Axis>(i);
      together = together && (axes.contains(axis) || coordinate(other, axis) == coordinate(rank, axis));
    }
    if (together) members.push_back(other);
  }
  return members;
}

std::string ProcessGrid::describe(int rank) const {
  std::string places;
  for (const auto& [name, axes] : {std::pair{"tensor", kTensorAxes},
                                   {"context", AxisSet{Axis::context}},
                                   {"data", AxisSet{Axis::data}},
                                   {"pipeline", AxisSet{Axis::pipeline}}})
    if (size(axes) > 1)
      places += fmt::format("{}{} {}", places.empty() ? "" : ", ", name, coordinate(rank, axes));
  return places.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} ({})", rank, places);
}

}  // namespace headwater
