#pragma once
// Tensors by name, as a list of ActivationSpecs has them, and the cutting of such tensors from one block of
// memory. The list is the only place that knows sizes; a block finds its tensors here by name, once for each
// set of slots.

#include "headwater/tensor/arena.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headwater {

class NamedTensors {
 public:
  void add(std::string name, TensorView view) { views_.emplace_back(std::move(name), view); }
  TensorView at(std::string_view name) const;    // InternalError where there is none
  TensorView find(std::string_view name) const;  // empty view where there is none

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

}  // namespace headwater
