#pragma once
// Named tensors cut from one block of memory, or taken from an arena's segment, by a list of ActivationSpecs. The list is
// the only place that knows sizes; a block finds its tensors here by name once, at start-up.

#include "headwater/layout/arena_layout.h"
#include "headwater/tensor/arena.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headwater {

class NamedTensors {
 public:
  void add(std::string name, TensorView view) { views_.emplace_back(std::move(name), view); }
  TensorView at(std::string_view name) const;           // InternalError where there is none
  TensorView find(std::string_view name) const;         // empty view where there is none

 private:
  std::vector<std::pair<std::string, TensorView>> views_;
};

// Cuts views off the front of a block of bytes (an i32 view), each aligned as in an arena.
class Carver {
 public:
  explicit Carver(TensorView block) : block_(block) {}
  TensorView take(DType dtype, Shape shape);

 private:
  TensorView block_;
  std::int64_t used_ = 0;
};

// Kept tensors are taken from `segment`; the scratch of each pass is cut from the front of `scratch`, so that forward's
// and backward's share it. With `training` false backward's tensors are left out.
NamedTensors place_tensors(const std::vector<ActivationSpec>& list, Arena& arena, std::string_view segment,
                           TensorView scratch, bool training);

}  // namespace headwater
