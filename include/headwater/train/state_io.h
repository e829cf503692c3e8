#pragma once
// Moves a rank's parameters from and to what is stored: it loads weights from any source and optimizer state
// from a checkpoint, and lists what this rank saves. Any layout reads what any layout wrote.

#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/saver.h"
#include "headwater/run/rank_layout.h"
#include "headwater/stage/parameter_store.h"

#include <vector>

namespace headwater {

// Loads masters and weights of every parameter that the store holds.
void load_weights(ParameterStore& store, Backend& backend, const WeightSource& source);
// Loads the moments of what is trained, as far as this rank updates it.
void load_moments(ParameterStore& store, Backend& backend, const Checkpoint& checkpoint);

// The part of the state that this rank writes and no other does, as host tensors. They are valid as long as
// this object and the store live: on the CPU they are views of the store where that has fp32, else copies.
// What is not trained has no moments, and its weight stands for the master.
class StateToSave {
 public:
  StateToSave(const ParameterStore& store, Backend& backend);
  const std::vector<SaveTensor>& tensors() const { return tensors_; }

 private:
  std::vector<SaveTensor> tensors_;
  std::vector<std::vector<std::byte>> copies_;
};

}  // namespace headwater
